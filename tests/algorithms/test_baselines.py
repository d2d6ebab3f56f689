"""MAPPO, IPPO, COMA, PRD, ILVF-P (no inferring): each against another library, a loop, or numbers by hand."""

import functools
import logging

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch.nn import functional as F
from torchrl.modules import ProbabilisticActor
from torchrl.objectives.multiagent import MAPPOLoss

from helpers import bare_trainer, parameters_of
from ilvf.algorithms import COMA, ILVFP, IPPO, MAPPO
from ilvf.credit import LearnedInfluence, Soft, Threshold
from ilvf.credit.estimators import CounterfactualAdvantage, TeamAdvantage, gae, local_estimator
from ilvf.envs import Encircle
from ilvf.losses import PPOLoss
from ilvf.modules import (
    ActionInfluenceCritic,
    CategoricalActor,
    CentralCritic,
    CounterfactualCritic,
    LocalCritic,
    RelevanceCritic,
    StateCritic,
    ValueNorm,
)

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
N, D, A, B, T, H = 3, 4, 5, 6, 8, 8
SMALL = dict(num_envs=4, rollout_steps=10, epochs=2, minibatches=2, eval_every=100, eval_episodes=2)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def rollout(done_at=((0, 3), (2, 6))):
    done = torch.zeros(B, T, 1, dtype=torch.bool)
    for b, t in done_at:
        done[b, t] = True
    agents = {"observation": torch.randn(B, T, N, D), "state": torch.randn(B, T, N, D)}
    following = {**{k: torch.randn(B, T, N, D) for k in agents}, "reward": torch.randn(B, T, N, 1)}
    td = TensorDict(
        {"agents": agents, "next": {"agents": following, "done": done}},
        [B, T],
        names=[None, "time"],
    )
    td["next", "terminated"] = done & (torch.rand(B, T, 1) < 0.5)
    with torch.no_grad():
        return CategoricalActor(N, D, A, hidden=H, gain=1.0)(td)


def fit(module, iterations=2):
    bare_trainer(iterations).fit(module)
    return parameters_of(module.loss)


# ---------------------------------------------------------------------- MAPPO and IPPO
def flat_batch():
    """What a minibatch holds, with a policy that has moved since it was collected."""
    td = rollout().reshape(-1)
    td["agents", "action_log_prob"] += 0.3 * torch.randn(B * T, N)
    td["agents", "advantage"] = torch.randn(B * T, N, 1)
    td["agents", "value_target"] = 3 * torch.randn(B * T, N, 1)
    td["agents", "state_value"] = torch.randn(B * T, N, 1)
    return td


def test_mappos_loss_is_torchrls_and_a_loops():
    """δ = 1 is TorchRL's smooth_l1; ours sums over agents where theirs takes the mean."""
    td, actor, critic = (
        flat_batch(),
        CategoricalActor(N, D, A, hidden=H, gain=1.0),
        StateCritic(N, D, hidden=H),
    )
    ours = PPOLoss(
        actor, critic, clip=0.2, entropy=0.05, value=0.7, huber_delta=1.0, value_clip=0.2
    )(td)
    logits = TensorDictModule(
        actor.log_probs, in_keys=[("agents", "observation")], out_keys=[("agents", "logits")]
    )
    policy = ProbabilisticActor(
        logits,
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    theirs = MAPPOLoss(
        policy,
        critic.value_module(),
        clip_epsilon=0.2,
        entropy_coeff=0.05,
        critic_coeff=0.7,
        loss_critic_type="smooth_l1",
        clip_value=0.2,
        normalize_advantage=False,
    )
    theirs.set_keys(
        advantage=("agents", "advantage"),
        value_target=("agents", "value_target"),
        value=("agents", "state_value"),
    )
    found = theirs(td.clone())
    for mine, other in (("objective", "objective"), ("entropy", "entropy"), ("value", "critic")):
        assert ours[f"loss_{mine}"].item() / N == pytest.approx(
            found[f"loss_{other}"].item(), abs=1e-6
        ), mine

    with torch.no_grad():
        logp, value = actor.log_probs(td["agents", "observation"]), critic(td["agents", "state"])
    objective = entropy = error = 0.0
    for b in range(B * T):
        for i in range(N):
            row = td[b]["agents"]
            ratio = (logp[b, i, row["action"][i]] - row["action_log_prob"][i]).exp()
            gain = row["advantage"][i, 0]
            objective -= min(ratio * gain, ratio.clamp(0.8, 1.2) * gain)
            entropy += 0.05 * (logp[b, i].exp() * logp[b, i]).sum()
            old, target = row["state_value"][i, 0], row["value_target"][i, 0]
            held = old + (value[b, i, 0] - old).clamp(-0.2, 0.2)
            error += 0.7 * max(F.smooth_l1_loss(v, target) for v in (value[b, i, 0], held))
    for mine, total in (("objective", objective), ("entropy", entropy), ("value", error)):
        assert ours[f"loss_{mine}"].item() == pytest.approx(float(total) / (B * T), abs=1e-5), mine


def gae_loop(reward, value, following, done, terminated, gamma=0.9, lmbda=0.8):
    """δ_t = r_t + γ (1 − terminated) V' − V;  A_t = δ_t + γ λ (1 − done) A_{t+1}, of `[B, T]`."""
    out = torch.zeros_like(reward)
    for b in range(B):
        a = 0.0
        for t in reversed(range(T)):
            delta = (
                reward[b, t] + gamma * (0 if terminated[b, t] else following[b, t]) - value[b, t]
            )
            a = delta + gamma * lmbda * (0 if done[b, t] else a)
            out[b, t] = a
    return out


def test_one_central_value_of_the_summed_reward():
    """The team's GAE by a loop; every agent gets it; value targets are the team's."""
    td, critic = (
        rollout(done_at=[(b, T - 1) for b in range(B)] + [(0, 3)]),
        CentralCritic(N, D, hidden=H),
    )
    norm = ValueNorm((1, 1))
    norm.update(5 + 3 * torch.randn(100, 1, 1))
    TeamAdvantage(critic, norm, inner=gae(0.9, 0.8), normalize="none")(td)
    with torch.no_grad():
        value = norm.denormalize(critic(td["agents", "state"]))[..., 0, 0]
        following = norm.denormalize(critic(td["next", "agents", "state"]))[..., 0, 0]
    done = td["next", "done"].squeeze(-1)
    shifted = value.roll(-1, 1)  # V of the next row, but where an episode or the rollout ends
    following = torch.where(done | (torch.arange(T) == T - 1), following, shifted)
    reward = td["next", "agents", "reward"].sum((-1, -2))
    expected = gae_loop(reward, value, following, done, td["next", "terminated"].squeeze(-1))
    for i in range(N):
        assert torch.allclose(td["agents", "advantage"][..., i, 0], expected, atol=1e-4)
    assert torch.allclose(td["value_target"][..., 0, 0], expected + value, atol=1e-4)


def test_both_forms_of_mappo_estimate_the_same_advantage():
    """Σ_j A_j from values V_j is the advantage of Σ_j r_j from the value Σ_j V_j."""
    td, critic = rollout(), StateCritic(N, D, hidden=H)
    local_estimator(critic, None, torch.ones(N, N), inner=gae(0.9, 0.8), normalize="none")(td)
    central = CentralCritic(N, D, hidden=H)
    central.forward = lambda state: critic(state).sum(-2, keepdim=True)
    other = td.exclude(("agents", "state_value"), ("next", "agents", "state_value"))
    TeamAdvantage(central, None, inner=gae(0.9, 0.8), normalize="none")(other)
    assert torch.allclose(other["agents", "advantage"], td["agents", "advantage"], atol=1e-4)


@pytest.mark.parametrize(("kind", "influence"), [(MAPPO, torch.ones(4, 4)), (IPPO, torch.eye(4))])
def test_the_ends_of_the_family_are_the_baselines(kind, influence):
    """Two iterations of ILVFP with a fixed Ŵ and of MAPPO or IPPO-C end in the same weights, bit for bit."""
    make, ends = functools.partial(Encircle, 4, horizon=10), []
    for build in (functools.partial(ILVFP, influence=influence), kind):
        torch.manual_seed(3)
        actor, critic = CategoricalActor(4, 18, 5, hidden=H), StateCritic(4, 6, hidden=H)
        ends.append(fit(build(make, actor, critic, seed=1, **SMALL)))
    assert torch.equal(*ends)


def test_ippo_sees_nothing_but_its_own_observation():
    critic = LocalCritic(N, D, hidden=H)
    observation = torch.randn(B, N, D)
    changed = observation.clone()
    changed[:, 1] += torch.randn(D)
    moved = (critic(changed) - critic(observation)).abs().amax((0, 2))
    assert moved[1] > 1e-3
    assert moved[[0, 2]].max() < 1e-6
    assert critic(torch.randn(B, T, N, D)).shape == (B, T, N, 1)


# ---------------------------------------------------------------------- COMA
def test_comas_baseline_leaves_the_mean_gradient():
    """Σ_b π(b) ∇log π(b) (Q(b) − baseline) = Σ_b π(b) ∇log π(b) Q(b), for every agent in every state."""
    td, critic = rollout(), CounterfactualCritic(N, D, A, hidden=H)
    actor = CategoricalActor(N, D, A, hidden=H, gain=1.0)
    with torch.no_grad():
        q = critic.all_actions(td["agents", "state"], td["agents", "action"])
        logits = actor.log_probs(td["agents", "observation"])
    sums = []
    for credit in (q, q - (logits.exp() * q).sum(-1, keepdim=True)):
        free = logits.clone().requires_grad_()
        logp = free.log_softmax(-1)
        sums.append(torch.autograd.grad((logp.exp().detach() * logp * credit).sum(), free)[0])
    assert sums[0].abs().max() > 1e-3
    assert torch.allclose(*sums, atol=1e-5)


def test_comas_critic_holds_the_others_actions_only():
    critic = CounterfactualCritic(N, D, A, hidden=H)
    state, action = torch.randn(B, N, D), torch.randint(A, (B, N))
    other = action.clone()
    other[:, 1] = (action[:, 1] + 1) % A
    moved = (
        (critic.all_actions(state, other) - critic.all_actions(state, action)).abs().amax((0, 2))
    )
    assert moved[1] < 1e-6  # its own action does not enter its head's input
    assert moved[[0, 2]].min() > 1e-4
    taken = critic.all_actions(state, action).gather(-1, action.unsqueeze(-1))
    assert torch.equal(critic.predict(state, action)[0], taken)


def test_comas_advantage_and_target_by_hand():
    """Â = Q(a) − Σ π Q;  G_t = R_t + γ [(1 − λ) Q' + λ G_{t+1}], cut where done, Q' = 0 where terminated."""
    td, critic = rollout(), CounterfactualCritic(N, D, A, hidden=H)
    actor = CategoricalActor(N, D, A, hidden=H, gain=1.0)
    torch.manual_seed(7)
    CounterfactualAdvantage(actor, critic, None, gamma=0.9, lmbda=0.8, normalize="none")(td)
    with torch.no_grad():
        q = critic.all_actions(td["agents", "state"], td["agents", "action"])
        pi = actor.log_probs(td["agents", "observation"]).exp()
        own = q.gather(-1, td["agents", "action"].unsqueeze(-1))
        assert torch.allclose(
            td["agents", "advantage"], own - (pi * q).sum(-1, keepdim=True), atol=1e-6
        )
        torch.manual_seed(7)
        action = actor(td["next"].select(("agents", "observation")))["agents", "action"]
        following = critic(td["next", "agents", "state"], action)[..., 0]
    reward = td["next", "agents", "reward"].sum((-1, -2))
    for b in range(B):
        for i in range(N):
            g = following[b, -1, i]
            for t in reversed(range(T)):
                ended = t == T - 1 or td["next", "done"][b, t]
                after = following[b, t, i] if ended else 0.2 * following[b, t, i] + 0.8 * g
                g = reward[b, t] + 0.9 * (0 if td["next", "terminated"][b, t] else after)
                assert td["agents", "value_target"][b, t, i, 0].item() == pytest.approx(
                    g.item(), abs=1e-4
                )


# ---------------------------------------------------------------------- PRD
def test_relevance_is_a_softmax_over_the_others():
    critic = RelevanceCritic(N, D, A, hidden=H)
    state, action = torch.randn(B, T, N, D), torch.randint(A, (B, T, N))
    weight = critic.relevance(state, action)
    assert weight.shape == (B, T, N, N)
    eye = torch.eye(N, dtype=torch.bool)
    assert (weight[..., eye] == 1).all()
    assert torch.allclose(
        weight.sum(-2), torch.full((B, T, N), 2.0), atol=1e-5
    )  # own 1, and the others' attention
    state[..., 0, :] += torch.randn(
        D
    )  # agent 0 asks otherwise, so the column of its return changes
    assert not torch.allclose(critic.relevance(state, action)[..., :, 0], weight[..., :, 0])


def test_relevance_by_hand():
    """α_ij ∝ exp(q(s_i)·k(s_j, a_j)/√H); Q_i reads s_i, Σ_j α_ij v_j and a_i."""
    critic = RelevanceCritic(N, D, A, hidden=H)
    state, action = torch.randn(1, N, D), torch.randint(A, (1, N))
    s, a = F.layer_norm(state, (D,))[0], F.one_hot(action, A)[0].float()
    q = critic.query(s.unsqueeze(1))[:, 0]
    k, v = critic.key_value(torch.cat([s, a], -1).unsqueeze(1))[:, 0].chunk(2, -1)
    for i in range(N):
        others = [j for j in range(N) if j != i]
        alpha = torch.softmax(torch.stack([q[i] @ k[j] / H**0.5 for j in others]), 0)
        assert torch.allclose(critic.relevance(state, action)[0, others, i], alpha, atol=1e-5)
        mixed = sum(w * v[j] for w, j in zip(alpha, others, strict=True))
        row = torch.cat([s[i], mixed, a[i]]).expand(N, 1, -1)
        assert torch.allclose(
            critic.predict(state, action)[1][0, i], critic.action_value(row)[i, 0], atol=1e-5
        )


@pytest.mark.parametrize("part", [Threshold(0.4), Soft()])
def test_prd_credits_by_its_attention(part):
    """Threshold: those above ε; soft: in proportion; the weights are those of the rollout's own states and actions."""
    critic = RelevanceCritic(4, 6, 5, hidden=H)
    make = functools.partial(Encircle, 4, horizon=10)
    source = LearnedInfluence(part, writer=critic.relevance_module())
    options = dict(influence=source, normalize="none")
    module, seen = ILVFP(make, CategoricalActor(4, 18, 5, hidden=H), critic, **options, **SMALL), []
    estimate = module.advantage.forward
    module.advantage.forward = lambda td: (
        estimate(td),
        seen.append((td.clone(), critic.relevance(td["agents", "state"], td["agents", "action"]))),
    )
    before = torch.cat([p.detach().flatten() for p in critic.query.parameters()]).clone()
    fit(module, 1)
    td, weight = seen[0]
    expected = (weight >= 0.4).float() if isinstance(part, Threshold) else weight
    assert torch.allclose(td["agents", "influence"], expected, atol=1e-6)
    assert torch.allclose(
        td["agents", "advantage"], expected @ td["agents", "individual_advantage"], atol=1e-4
    )
    assert not torch.equal(
        before, torch.cat([p.detach().flatten() for p in critic.query.parameters()])
    )  # it learns


# ---------------------------------------------------------------------- no inferring
def test_attention_over_actions_by_hand():
    """V without attention; Q_i from s and Σ_j w^g_ij a_j, so that an action without weight does not exist for it."""
    critic = ActionInfluenceCritic(N, D, A, hidden=H)
    state, action = torch.randn(B, N, D), torch.randint(A, (B, N))
    value, weight, logits = critic(state)
    assert torch.equal(value, critic.state_critic(state))
    assert torch.allclose(weight, torch.sigmoid(logits).mT)
    fixed = torch.rand(B, N, N)
    fixed[:, 1, 2] = 0.0
    critic.attention.sample = lambda h, generator=None: fixed
    found, acted = critic.predict(state, action)[1], F.one_hot(action, A).float()
    flat = F.layer_norm(state.flatten(1), (N * D,))
    for i in range(N):
        mixed = sum(fixed[:, i, j, None] * acted[:, j] for j in range(N))
        first = (
            flat @ critic.of_state.weight[i]
            + critic.of_state.bias[i]
            + mixed @ critic.of_sum.weight[i]
        )
        q = (
            torch.relu(first) @ critic.action_value.head.weight[i]
            + critic.action_value.head.bias[i]
        )
        assert torch.allclose(found[:, i], q, atol=1e-5)
    other = action.clone()
    other[:, 2] = (action[:, 2] + 1) % A
    moved = (critic.predict(state, other)[1] - found).abs().amax((0, 2))
    assert moved[1] == 0
    assert moved[[0, 2]].min() > 1e-4


def test_bad_arguments(refused):
    make, actor = functools.partial(Encircle, 4), CategoricalActor(4, 18, 5, hidden=H)
    with refused("gamma=2", "[0, 1]"):
        MAPPO(make, actor, StateCritic(4, 6, hidden=H), gamma=2.0)
    with refused("lmbda=-1", "[0, 1]"):
        COMA(make, actor, CounterfactualCritic(4, 6, 5, hidden=H), lmbda=-1.0)
    with refused("4 agents", "states of 7"):
        fit(IPPO(make, actor, StateCritic(4, 7, hidden=H), **SMALL))
