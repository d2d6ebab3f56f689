"""MAPPO and IPPO: their loss, their advantages, and ILVF-P with a fixed influence."""

import functools

import pytest
import torch
from tensordict import TensorDict
from torch.nn import functional as F
from torchrl.objectives.multiagent import MAPPOLoss

from credit_helpers import A, B, D, N, T, acted_rollout
from helpers import fit, gae_by_loop, parameters_of, torchrl_policy
from ilvf.algorithms import ILVFP, IPPO, MAPPO
from ilvf.credit.estimators import TeamAdvantage, gae, local_estimator
from ilvf.envs import Encircle
from ilvf.losses import PPOLoss
from ilvf.modules import (
    CategoricalActor,
    CentralCritic,
    InfluenceCritic,
    LocalCritic,
    StateCritic,
    ValueNorm,
)

SMALL = {
    "num_envs": 4,
    "rollout_steps": 10,
    "epochs": 2,
    "minibatches": 2,
    "eval_every": 100,
    "eval_episodes": 2,
}
CLIP = 0.2
ENTROPY = 0.05
VALUE = 0.7
VALUE_CLIP = 0.2


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- the loss
@pytest.fixture
def batch():
    """A minibatch `[B T]`, collected by another policy than the one that learns."""
    td = acted_rollout().reshape(-1)
    td["agents", "action_log_prob"] += 0.3 * torch.randn(B * T, N)
    td["agents", "advantage"] = torch.randn(B * T, N, 1)
    td["agents", "value_target"] = 3 * torch.randn(B * T, N, 1)
    td["agents", "state_value"] = torch.randn(B * T, N, 1)
    return td


@pytest.fixture
def actor():
    return CategoricalActor(N, D, A, hidden=8, gain=1.0)


@pytest.fixture
def critic():
    return StateCritic(N, D, hidden=8)


@pytest.fixture
def terms(actor, critic, batch):
    """Loss terms of `PPOLoss` on the minibatch."""
    loss = PPOLoss(
        actor,
        critic,
        clip=CLIP,
        entropy=ENTROPY,
        value=VALUE,
        huber_delta=1.0,  # TorchRL's smooth_l1
        value_clip=VALUE_CLIP,
    )
    return loss(batch)


def test_the_loss_is_that_of_torchrl_times_the_number_of_agents(actor, critic, batch, terms):
    """TorchRL's loss is the mean over agents, ours the sum."""
    reference = MAPPOLoss(
        torchrl_policy(actor, log_prob_key=("agents", "action_log_prob")),
        critic.value_module(),
        clip_epsilon=CLIP,
        entropy_coeff=ENTROPY,
        critic_coeff=VALUE,
        loss_critic_type="smooth_l1",
        clip_value=VALUE_CLIP,
        normalize_advantage=False,
    )
    keys = {name: ("agents", name) for name in ("advantage", "value_target")}
    reference.set_keys(**keys, value=("agents", "state_value"))
    expected = reference(batch.clone())
    names = {"objective": "objective", "entropy": "entropy", "value": "critic"}
    for name, torchrl_name in names.items():
        found = terms[f"loss_{name}"].item() / N
        assert found == pytest.approx(expected[f"loss_{torchrl_name}"].item(), abs=1e-6), name


def test_the_loss_equals_a_loop_over_rows_and_agents(actor, critic, batch, terms):
    with torch.no_grad():
        log_probs = actor.log_probs(batch["agents", "observation"])
        values = critic(batch["agents", "state"])
    totals = {"objective": 0.0, "entropy": 0.0, "value": 0.0}
    for b in range(B * T):
        row = batch[b]["agents"]
        for i in range(N):
            log_prob = log_probs[b, i]
            ratio = (log_prob[row["action"][i]] - row["action_log_prob"][i]).exp()
            advantage = row["advantage"][i, 0]
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            totals["objective"] -= min(ratio * advantage, clipped * advantage).item()
            totals["entropy"] += ENTROPY * (log_prob.exp() * log_prob).sum().item()
            value = values[b, i, 0]
            old = row["state_value"][i, 0]
            target = row["value_target"][i, 0]
            near_old = old + (value - old).clamp(-VALUE_CLIP, VALUE_CLIP)
            error = max(F.smooth_l1_loss(value, target), F.smooth_l1_loss(near_old, target))
            totals["value"] += VALUE * error.item()
    for name, total in totals.items():
        assert terms[f"loss_{name}"].item() == pytest.approx(total / (B * T), abs=1e-5), name


# ---------------------------------------------------------------------- advantages
def test_the_central_critic_estimates_the_advantage_of_the_summed_reward():
    """Every agent gets the team's GAE; the value targets belong to the team."""
    td = acted_rollout()
    td["next", "done"][:, -1] = True
    critic = CentralCritic(N, D, hidden=8)
    norm = ValueNorm((1, 1))
    norm.update(5 + 3 * torch.randn(100, 1, 1))
    TeamAdvantage(critic, norm, inner=gae(0.9, 0.8), normalize="none")(td)
    done = td["next", "done"].squeeze(-1)
    with torch.no_grad():
        value = norm.denormalize(critic(td["agents", "state"]))[..., 0, 0]
        next_value = norm.denormalize(critic(td["next", "agents", "state"]))[..., 0, 0]
    next_value = torch.where(done, next_value, value.roll(-1, 1))  # V of the following row
    reward = td["next", "agents", "reward"].sum((-1, -2))
    terminated = td["next", "terminated"].squeeze(-1)
    expected = gae_by_loop(reward, value, next_value, done, terminated)
    for i in range(N):
        assert torch.allclose(td["agents", "advantage"][..., i, 0], expected, atol=1e-4)
    assert torch.allclose(td["value_target"][..., 0, 0], expected + value, atol=1e-4)


def test_summed_individual_advantages_are_the_advantage_of_the_summed_value(critic):
    """Σ_j A_j from the values V_j is the advantage of Σ_j r_j from the value Σ_j V_j."""
    td = acted_rollout()
    team = td.clone()
    ones = torch.ones(N, N)
    local_estimator(critic, None, ones, inner=gae(0.9, 0.8), normalize="none")(td)
    central = CentralCritic(N, D, hidden=8)
    central.forward = lambda state: critic(state).sum(-2, keepdim=True)
    TeamAdvantage(central, None, inner=gae(0.9, 0.8), normalize="none")(team)
    assert torch.allclose(team["agents", "advantage"], td["agents", "advantage"], atol=1e-4)


# ---------------------------------------------------------------------- the algorithms
CRITICS = {
    "state": lambda: StateCritic(4, 6, hidden=8),
    "influence": lambda: InfluenceCritic(4, 6, 5, hidden=8),
}


@pytest.mark.parametrize("critic_of", CRITICS.values(), ids=CRITICS)
@pytest.mark.parametrize(
    ("kind", "influence"), [(MAPPO, torch.ones(4, 4)), (IPPO, torch.eye(4))], ids=["mappo", "ippo"]
)
def test_ilvf_p_with_a_fixed_influence_is_the_baseline(kind, influence, critic_of):
    """Two iterations end in the same weights, bit for bit."""
    make_env = functools.partial(Encircle, 4, horizon=10)
    ends = []
    for build in (functools.partial(ILVFP, influence=influence), kind):
        torch.manual_seed(3)
        actor = CategoricalActor(4, 18, 5, hidden=8)
        critic = critic_of()
        module = fit(build(make_env, actor, critic, seed=1, **SMALL), 2)
        ends.append(parameters_of(module.loss))
    assert torch.equal(*ends)


def test_the_critic_of_ippo_reads_only_the_agents_own_observation():
    critic = LocalCritic(N, D, hidden=8)
    observation = torch.randn(B, T, N, D)
    value = critic(observation)
    assert value.shape == (B, T, N, 1)
    observation[..., 1, :] += torch.randn(D)
    change = (critic(observation) - value).abs().amax((0, 1, 3))
    assert change[1] > 1e-3
    assert change[[0, 2]].max() < 1e-6


# ---------------------------------------------------------------------- what is measured
def measured(living):
    """Metrics of a rollout whose values are those of the living, and far off for the dead."""
    make_env = functools.partial(Encircle, 4)
    actor = CategoricalActor(4, 18, 5, hidden=8)
    module = MAPPO(make_env, actor, StateCritic(4, 6, hidden=8), **SMALL)
    target = torch.randn(30, 4, 1) + 5
    value = target + 0.5 * torch.randn(30, 4, 1)
    agents = {"state_value": value, "value_target": target}
    if living is not None:
        agents["mask"] = living
        agents["value_target"] = target.masked_fill(~living.unsqueeze(-1), -100)
    rollout = TensorDict({"agents": agents}, [30])
    return module.measure(rollout), target, value


def test_the_explained_variance_is_that_of_the_formula():
    found, target, value = measured(None)
    expected = 1 - (target - value).var() / target.var()
    assert found["value/explained_variance"].item() == pytest.approx(expected.item(), abs=1e-5)
    assert found["value/target_mean"].item() == pytest.approx(target.mean().item(), abs=1e-5)


def test_dead_agents_count_in_no_measure():
    living = torch.rand(30, 4) < 0.7
    found, target, value = measured(living)
    target, value = target[living], value[living]
    expected = 1 - (target - value).var() / target.var()
    assert found["value/explained_variance"].item() == pytest.approx(expected.item(), abs=1e-5)
    assert found["value/target_mean"].item() == pytest.approx(target.mean().item(), abs=1e-5)


def test_bad_arguments(refused):
    make_env = functools.partial(Encircle, 4)
    actor = CategoricalActor(4, 18, 5, hidden=8)
    with refused("gamma=2", "[0, 1]"):
        MAPPO(make_env, actor, StateCritic(4, 6, hidden=8), gamma=2.0)
    with refused("4 agents", "states of 7"):
        fit(IPPO(make_env, actor, StateCritic(4, 7, hidden=8), **SMALL), 1)
