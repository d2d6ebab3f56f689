"""Credit: what comes out exactly, what a transposed matrix would break, and the loss's direction."""

import math

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import tensor
from torchrl.modules import ProbabilisticActor
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import GAE, MultiAgentGAE, TDLambdaEstimator

from ilvf.credit import (
    Bernoulli,
    ILVFAdvantage,
    Soft,
    Threshold,
    force_diagonal,
    local_advantage,
    standardise,
)
from ilvf.losses import ILVFLoss
from ilvf.losses.functional import clipped_surrogate, clipped_value_loss, huber, team_mean
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic, ValueNorm

N, D, A, B, T = 3, 4, 5, 6, 8


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- local_advantage
def test_a_lopsided_case():
    """Agent 0 alone moves agent 2: it gets agent 2's 7; a transposed matrix would give [0, 0, 0 or more]."""
    only_0_moves_2 = torch.zeros(3, 3)
    only_0_moves_2[0, 2] = 1.0
    own = tensor([[0.0], [0.0], [7.0]])
    assert local_advantage(only_0_moves_2, own).flatten().tolist() == [7.0, 0.0, 0.0]
    assert local_advantage(only_0_moves_2.T, own).flatten().tolist() == [0.0, 0.0, 0.0]


def test_the_two_ends_are_exact():
    own = torch.randn(B, T, N, 1)
    assert torch.equal(local_advantage(torch.eye(N), own), own)
    team = own.sum(-2, keepdim=True).expand_as(own)
    assert torch.allclose(local_advantage(torch.ones(N, N), own), team, atol=1e-6)


def test_force_diagonal_touches_nothing_else():
    x = torch.rand(B, N, N)
    y = force_diagonal(x)
    eye = torch.eye(N, dtype=torch.bool)
    assert (y[:, eye] == 1).all()
    assert torch.equal(y[:, ~eye], x[:, ~eye])


def test_standardise_per_agent_and_pooled():
    x = torch.randn(B, T, N, 1) * tensor([1.0, 10.0, 100.0]).view(N, 1) + 5
    per_agent, pooled = standardise(x), standardise(x, per_agent=False)
    assert torch.allclose(per_agent.mean((0, 1)), torch.zeros(N, 1), atol=1e-5)
    assert torch.allclose(per_agent.std((0, 1), correction=0), torch.ones(N, 1), atol=1e-4)
    assert pooled.mean().abs() < 1e-5
    assert pooled[..., 2, 0].std() > 5 * pooled[..., 0, 0].std()  # keeps the scale between agents


def test_pure_functions_compile_whole():
    def credit(weight, own):
        return standardise(local_advantage(force_diagonal(weight), own))

    weight, own = torch.rand(B, N, N), torch.randn(B, N, 1)
    compiled = torch.compile(credit, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(weight, own), credit(weight, own), atol=1e-6)


# ---------------------------------------------------------------------- ILVFAdvantage
def rollout(done_at=()):
    """Team-level dones, per-agent rewards, values and influence weights that are already there."""
    done = torch.zeros(B, T, 1, dtype=torch.bool)
    for b, t in done_at:
        done[b, t] = True
    value = torch.randn(B, T + 1, N, 1)
    agents = {"state_value": value[:, :-1], "influence_weight": torch.rand(B, T, N, N)}
    following = {"reward": torch.randn(B, T, N, 1), "state_value": value[:, 1:].clone()}
    td = TensorDict(
        {
            "agents": agents,
            "next": {"agents": following, "done": done, "terminated": torch.zeros_like(done)},
        },
        [B, T],
    )
    td.names = [None, "time"]
    return td


def gae(gamma=0.9, lmbda=0.8):
    return MultiAgentGAE(gamma=gamma, lmbda=lmbda, value_network=None)


def gae_by_loop(td, gamma=0.9, lmbda=0.8):
    """δ_t = r_t + γ (1 − terminated) V' − V;  A_t = δ_t + γ λ (1 − done) A_{t+1}, agent by agent."""
    v, v_next = td["agents", "state_value"], td["next", "agents", "state_value"]
    r, done, term = td["next", "agents", "reward"], td["next", "done"], td["next", "terminated"]
    out = torch.zeros_like(v)
    for b in range(B):
        for i in range(N):
            a = 0.0
            for t in reversed(range(T)):
                delta = (
                    r[b, t, i, 0]
                    + gamma * (0 if term[b, t] else v_next[b, t, i, 0])
                    - v[b, t, i, 0]
                )
                a = delta + gamma * lmbda * (0 if done[b, t] else a)
                out[b, t, i, 0] = a
    return out


@pytest.mark.parametrize("terminated", [False, True])
def test_identity_is_plain_gae_of_every_agent(terminated):
    td = rollout(done_at=[(0, 3), (2, 6)])
    if terminated:
        td["next", "terminated"] = td["next", "done"].clone()
    expected = gae_by_loop(td)
    ILVFAdvantage(gae(), influence=torch.eye(N), normalize="none")(td)
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-5)
    assert torch.allclose(
        td["agents", "value_target"], expected + td["agents", "state_value"], atol=1e-5
    )


def test_ones_are_the_teams_summed_advantage():
    td = rollout()
    ILVFAdvantage(gae(), influence=torch.ones(N, N), normalize="none")(td)
    team = gae_by_loop(td).sum(-2, keepdim=True).expand(B, T, N, 1)
    assert torch.allclose(td["agents", "advantage"], team, atol=1e-5)


def lopsided(**options):
    """Only w[0, 2] is large: agent 0's action moves agent 2's return."""
    td = rollout()
    td["agents", "influence_weight"] = torch.full((B, T, N, N), 0.1)
    td["agents", "influence_weight"][..., 0, 2] = 0.9
    ILVFAdvantage(gae(), normalize="none", **options)(td)
    return td["agents", "individual_advantage"][..., 0], td["agents", "advantage"][..., 0]


def test_orientation():
    own, local = lopsided()
    assert torch.allclose(
        local, own + torch.stack([own[..., 2], 0 * own[..., 0], 0 * own[..., 0]], -1)
    )
    own, local = lopsided(
        orientation="attention"
    )  # the literal reading credits agent 2 with agent 0's return
    assert torch.allclose(
        local, own + torch.stack([0 * own[..., 0], 0 * own[..., 0], own[..., 0]], -1)
    )


def test_the_forced_diagonal():
    own, local = lopsided(diagonal=False)
    assert torch.allclose(local[..., 0], own[..., 2])
    assert not local[..., 1:].any()


@pytest.mark.parametrize(
    ("part", "low", "high"),
    [
        (Threshold(0.05), 1, 1),
        (Threshold(0.95), 0, 0),
        (Bernoulli(noise=False), 0.05, 0.15),
        (Soft(), 0.1, 0.1),
    ],
)
def test_discretisation_is_used(part, low, high):
    td = rollout()
    td["agents", "influence_weight"] = torch.full((B, T, N, N), 0.1)
    ILVFAdvantage(gae(), discretise=part, diagonal=False)(td)
    assert low - 1e-6 <= td["agents", "influence"].mean().item() <= high + 1e-6


def test_normalisation_choices():
    stds = {}
    for choice in ("agent", "global", "none"):
        td = rollout()
        td["next", "agents", "reward"] *= tensor([1.0, 10.0, 100.0]).view(N, 1)
        ILVFAdvantage(gae(), influence=torch.eye(N), normalize=choice)(td)
        stds[choice] = td["agents", "advantage"].std((0, 1), correction=0).flatten().tolist()
    assert stds["agent"] == pytest.approx([1, 1, 1], abs=1e-3)
    assert stds["global"][2] > 5 * stds["global"][1] > 5 * stds["global"][0]
    assert stds["none"][2] > 50


@pytest.mark.parametrize(
    "inner",
    [
        gae(),
        GAE(gamma=0.9, lmbda=0.8, value_network=None),
        TDLambdaEstimator(gamma=0.9, lmbda=0.8, value_network=None),
    ],
)
def test_any_inner_estimator_with_team_level_dones(inner):
    td = rollout(done_at=[(1, 4)])
    expected = gae_by_loop(td)
    ILVFAdvantage(inner, influence=torch.eye(N), normalize="none")(td)
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-4)


def test_it_is_a_transform_among_others():
    critic = InfluenceCritic(N, D, A, hidden=8)
    td = rollout()
    td["agents", "state"], td["next", "agents", "state"] = (
        torch.randn(B, T, N, D),
        torch.randn(B, T, N, D),
    )
    double = TensorDictModule(
        lambda a: 2 * a, in_keys=[("agents", "advantage")], out_keys=["double"]
    )
    estimator = ILVFAdvantage(gae(), critic.value_module())
    out = TensorDictSequential(estimator, double)(td)
    assert torch.equal(out["double"], 2 * out["agents", "advantage"])
    assert torch.allclose(out["agents", "state_value"], critic(td["agents", "state"])[0])
    assert torch.allclose(
        out["next", "agents", "state_value"], critic(td["next", "agents", "state"])[0]
    )
    assert not list(estimator.parameters())  # the loss owns the networks


def test_it_serves_torchrls_own_loss():
    """`MAPPOLoss.make_value_estimator(ILVFAdvantage(...))`: its `value_estimator` writes the local advantage."""
    actor, critic = (
        CategoricalActor(N, D, A, hidden=8),
        InfluenceCritic(N, D, A, hidden=8).value_module(),
    )
    logits = TensorDictModule(
        actor.log_probs, in_keys=[("agents", "observation")], out_keys=[("agents", "logits")]
    )
    policy = ProbabilisticActor(
        logits,
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    loss = MAPPOLoss(policy, critic, normalize_advantage=False)
    loss.make_value_estimator(ILVFAdvantage(gae(), critic))
    keys = {k: ("agents", k) for k in ("advantage", "value_target", "reward")}
    loss.set_keys(**keys, value=("agents", "state_value"), done="done", terminated="terminated")
    td = rollout()
    for part in (td, td["next"]):
        part["agents", "state"], part["agents", "observation"] = (
            torch.randn(B, T, N, D),
            torch.randn(B, T, N, D),
        )
    actor(td)
    td = td.detach()
    expected = ILVFAdvantage(gae(), critic)(td.clone())["agents", "advantage"]
    loss.value_estimator(td)
    assert torch.equal(td["agents", "advantage"], expected)
    sum(v for k, v in loss(td.reshape(-1)).items() if k.startswith("loss_")).backward()
    for head in (actor.net.head, critic.module.value.head):
        assert head.weight.grad.abs().sum() > 0


def test_shifted_values_are_the_same_values():
    """On a contiguous rollout, V of the next state is V of the following row, but where an episode ends."""
    critic, outs = InfluenceCritic(N, D, A, hidden=8), []
    td = rollout(done_at=[(0, 2), (3, 5)])
    state = torch.randn(B, T + 1, N, D)
    td["agents", "state"], td["next", "agents", "state"] = state[:, :-1], state[:, 1:].clone()
    for b, t in [(0, 2), (3, 5)]:
        td["next", "agents", "state"][b, t] += (
            1.0  # the last state of an episode is not the first of the next
        )
    for shifted in (False, True):
        outs.append(ILVFAdvantage(gae(), critic.value_module(), shifted=shifted)(td.clone()))
    for key in (("next", "agents", "state_value"), ("agents", "advantage")):
        assert torch.allclose(outs[0][key], outs[1][key], atol=1e-5)


def test_mistakes_are_one_sentence(refused):
    td = rollout()
    with refused("influence", "square", "(3, 2)"):
        ILVFAdvantage(gae(), influence=torch.ones(3, 2))
    with refused("2 agents", "3"):
        ILVFAdvantage(gae(), influence=torch.ones(2, 2))(td)
    with refused("orientation", "sideways", "attention"):
        ILVFAdvantage(gae(), orientation="sideways")
    with refused("('next', 'agents', 'reward')", "next"):
        ILVFAdvantage(gae())(td.exclude(("next", "agents", "reward")))
    with refused("('agents', 'influence_weight')"):
        ILVFAdvantage(gae())(td.exclude(("agents", "influence_weight")))
    td["agents", "influence_weight"] = torch.rand(B, T, N, 2)
    with refused("influence_weight", f"({B}, {T}, {N}, 2)", f"({B}, {T}, {N}, {N})"):
        ILVFAdvantage(gae())(td)
    with refused("threshold=0", "(0, 1]"):
        Threshold(0)


# ---------------------------------------------------------------------- terms of the loss
def test_huber_by_hand():
    """δ = 10: ½·3² = 4.5; 10·(25 − 5) = 200."""
    assert huber(tensor([3.0, -25.0]), 10.0).tolist() == pytest.approx([4.5, 200.0])


def test_value_clipping_by_hand():
    """old 0, clip 0.2, target 2: V = 1 is held at 0.2, whose error 1.8 counts; V = −1 has the larger error itself."""
    loss = clipped_value_loss(
        tensor([1.0, -1.0]), torch.zeros(2), torch.full((2,), 2.0), clip=0.2, delta=10.0
    )
    assert loss.tolist() == pytest.approx([0.5 * 1.8**2, 0.5 * 3**2])


def test_surrogate_by_hand():
    """ρ = 2 with Â = 1 counts 1.2; with Â = −1 it counts −2; ρ = 0.5 with Â = −1 counts −0.8."""
    old = torch.zeros(3)
    gain, ratio = clipped_surrogate(
        tensor([math.log(2), math.log(2), -math.log(2)]), old, tensor([1.0, -1.0, -1.0]), 0.2
    )
    assert ratio.tolist() == pytest.approx([2, 2, 0.5])
    assert gain.tolist() == pytest.approx([1.2, -2, -0.8])


def test_team_mean_sums_agents_and_averages_rows():
    assert team_mean(tensor([[1.0, 2.0], [3.0, 4.0]])).item() == 5.0  # (3 + 7) / 2


# ---------------------------------------------------------------------- ILVFLoss
def batch(actor, rows=200):
    td = TensorDict(
        {"agents": {"observation": torch.randn(rows, N, D), "state": torch.randn(rows, N, D)}},
        [rows],
    )
    with torch.no_grad():
        actor(td)
    td["agents", "advantage"] = torch.randn(rows, N, 1)
    td["agents", "value_target"] = torch.randn(rows, N, 1)
    td["agents", "normalised_value"] = torch.randn(rows, N, 1)
    return td


def loss_of(critic=None, **options):
    actor = CategoricalActor(N, D, A, hidden=8)
    return ILVFLoss(actor, critic or InfluenceCritic(N, D, A, hidden=8), **options)


def test_good_actions_become_more_likely():
    loss = loss_of()
    td = batch(loss.actor)
    td["agents", "advantage"] = (td["agents", "action"] == 2).float().unsqueeze(
        -1
    ) - 0.2  # action 2 is good
    before = loss.actor.log_probs(td["agents", "observation"])[..., 2].mean()
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-2)
    for _ in range(5):
        optimiser.zero_grad()
        sum(v for k, v in loss(td).items() if k.startswith("loss_")).backward()
        optimiser.step()
    assert loss.actor.log_probs(td["agents", "observation"])[..., 2].mean() > before + 0.05


def test_values_approach_their_targets():
    loss = loss_of(value_clip=None)
    td = batch(loss.actor)
    td["agents", "value_target"] = td["agents", "state"][..., :1]  # learnable
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-2)
    errors = []
    for _ in range(60):
        out = loss(td)
        errors.append((out["loss_value"].item(), out["loss_action_value"].item()))
        optimiser.zero_grad()
        sum(v for k, v in out.items() if k.startswith("loss_")).backward()
        optimiser.step()
    assert errors[-1][0] < 0.3 * errors[0][0]
    assert errors[-1][1] < 0.6 * errors[0][1]


def test_a_critic_without_q_has_no_q_loss():
    loss = loss_of(StateCritic(N, D, hidden=8))
    out = loss(batch(loss.actor))
    assert "loss_action_value" not in out.keys()
    assert {
        "loss_objective",
        "loss_entropy",
        "loss_value",
        "entropy",
        "clip_fraction",
        "kl",
    } == set(out.keys())


def test_fresh_data_has_ratio_one():
    loss = loss_of()
    out = loss(batch(loss.actor))
    assert out["clip_fraction"] == 0
    assert out["kl"].abs() < 1e-6


@pytest.mark.parametrize(
    ("option", "term"),
    [
        (dict(entropy=0.5), "loss_entropy"),
        (dict(value=3.0), "loss_value"),
        (dict(huber_delta=0.1), "loss_value"),
        (dict(value_clip=None), "loss_value"),
    ],
)
def test_every_coefficient_turns_its_term(option, term):
    outs = []
    for k in ({}, option):
        torch.manual_seed(3)
        loss = loss_of(**k)
        outs.append(loss(batch(loss.actor))[term].item())
    assert outs[0] != pytest.approx(outs[1])


def test_the_clip_is_felt_once_the_policy_has_moved():
    outs = []
    for clip in (0.05, 0.5):
        torch.manual_seed(3)
        loss = loss_of(clip=clip)
        td = batch(loss.actor)
        td["agents", "action_log_prob"] -= 0.2  # as if the policy had moved by ρ = e^0.2
        outs.append(loss(td))
    assert outs[0]["clip_fraction"] == 1
    assert outs[1]["clip_fraction"] == 0
    assert outs[0]["loss_objective"] != outs[1]["loss_objective"]


def test_targets_are_normalised():
    """Scaling and shifting every target leaves the loss alone when the statistics follow."""
    outs = []
    for scale, shift in ((1.0, 0.0), (50.0, -300.0)):
        torch.manual_seed(3)
        norm = ValueNorm((N, 1))
        loss = loss_of(StateCritic(N, D, hidden=8), value_norm=norm)
        td = batch(loss.actor)
        td["agents", "value_target"] = td["agents", "value_target"] * scale + shift
        norm.update(td["agents", "value_target"])
        outs.append(loss(td)["loss_value"].item())
    assert outs[0] == pytest.approx(outs[1], rel=1e-3)


def test_the_readmes_example():
    """Value clipping works on what `ILVFAdvantage` writes, without the trainer around it."""
    critic, actor = InfluenceCritic(N, D, A, hidden=8), CategoricalActor(N, D, A, hidden=8)
    td = rollout()
    for part in (td, td["next"]):
        part["agents", "state"], part["agents", "observation"] = (
            torch.randn(B, T, N, D),
            torch.randn(B, T, N, D),
        )
    actor(td)
    advantage = ILVFAdvantage(gae(), critic.value_module())
    out = ILVFLoss(actor, critic)(advantage(td).reshape(-1).detach())
    assert all(torch.isfinite(v) for v in out.values())
    assert out["clip_fraction"] == 0


def test_bad_coefficients(refused):
    for option, word in (
        (dict(clip=0.0), "clip=0"),
        (dict(entropy=-1.0), "entropy=-1"),
        (dict(huber_delta=0.0), "huber"),
    ):
        with refused(word):
            loss_of(**option)


def test_a_prior_on_few_influences():
    """w = ½ everywhere off the diagonal: Σ_i ½ = N/2, times s; and it pulls the weights down, not the diagonal."""
    loss = loss_of(sparsity=0.4)
    for p in loss.critic.attention.logits.head.parameters():
        p.data.zero_()
    td = batch(loss.actor)
    term = loss(td)["loss_sparsity"]
    assert term.item() == pytest.approx(0.4 * N / 2)
    term.backward()
    slope = loss.critic.attention.logits.head.bias.grad[:, 0]  # [N critics, N states]
    eye = torch.eye(N, dtype=torch.bool)
    assert (slope[~eye] > 0).all()
    assert not slope[eye].any()
    assert "loss_sparsity" not in loss_of()(td)


def test_the_prior_needs_an_attention(refused):
    with refused("sparsity=0.1", "StateCritic"):
        loss_of(StateCritic(N, D, hidden=8), sparsity=0.1)
