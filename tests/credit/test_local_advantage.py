"""`ILVFAdvantage`: exact cases, orientation, inner estimators, mistakes."""

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import tensor
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import GAE, TDLambdaEstimator

from credit_helpers import A, B, D, N, T, gae
from helpers import gae_by_loop, random_rollout, torchrl_policy
from ilvf.credit import Bernoulli, ILVFAdvantage, Soft, Threshold
from ilvf.modules import CategoricalActor, InfluenceCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- exact cases
def valued_rollout(done_at=()):
    """A rollout with values and influence weights."""
    td = random_rollout(B, T, N, D, done_at)
    value = torch.randn(B, T + 1, N, 1)
    td["agents", "state_value"] = value[:, :-1]
    td["next", "agents", "state_value"] = value[:, 1:].clone()
    td["agents", "influence_weight"] = torch.rand(B, T, N, N)
    return td


def individual_advantages(td):
    """GAE of every agent by a loop, `[B, T, N, 1]`."""
    done = td["next", "done"][..., 0]
    terminated = td["next", "terminated"][..., 0]
    advantages = []
    for i in range(N):
        reward = td["next", "agents", "reward"][..., i, 0]
        value = td["agents", "state_value"][..., i, 0]
        next_value = td["next", "agents", "state_value"][..., i, 0]
        advantages.append(gae_by_loop(reward, value, next_value, done, terminated))
    return torch.stack(advantages, -1).unsqueeze(-1)


@pytest.mark.parametrize("terminated", [False, True])
def test_the_identity_is_plain_gae_of_every_agent(terminated):
    td = valued_rollout(done_at=[(0, 3), (2, 6)])
    if terminated:
        td["next", "terminated"] = td["next", "done"].clone()
    expected = individual_advantages(td)
    ILVFAdvantage(gae(), influence=torch.eye(N), normalize="none")(td)
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-5)
    target = expected + td["agents", "state_value"]
    assert torch.allclose(td["agents", "value_target"], target, atol=1e-5)


def test_ones_are_the_teams_summed_advantage():
    td = valued_rollout()
    ILVFAdvantage(gae(), influence=torch.ones(N, N), normalize="none")(td)
    team = individual_advantages(td).sum(-2, keepdim=True).expand(B, T, N, 1)
    assert torch.allclose(td["agents", "advantage"], team, atol=1e-5)


@pytest.mark.parametrize(
    "inner",
    [
        gae(),
        GAE(gamma=0.9, lmbda=0.8, value_network=None),
        TDLambdaEstimator(gamma=0.9, lmbda=0.8, value_network=None),
    ],
    ids=lambda inner: type(inner).__name__,
)
def test_inner_estimators_work_with_team_level_dones(inner):
    td = valued_rollout(done_at=[(1, 4)])
    expected = individual_advantages(td)
    ILVFAdvantage(inner, influence=torch.eye(N), normalize="none")(td)
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-4)


# ---------------------------------------------------------------------- options
def advantages_when_0_moves_2(**options):
    """Individual and local advantages `[B, T, N]` where only w[0, 2] is large."""
    td = valued_rollout()
    td["agents", "influence_weight"] = torch.full((B, T, N, N), 0.1)
    td["agents", "influence_weight"][..., 0, 2] = 0.9
    ILVFAdvantage(gae(), normalize="none", **options)(td)
    return td["agents", "individual_advantage"][..., 0], td["agents", "advantage"][..., 0]


def test_the_default_orientation_credits_the_acting_agent():
    individual, local = advantages_when_0_moves_2()
    assert torch.allclose(local[..., 0], individual[..., 0] + individual[..., 2])
    assert torch.equal(local[..., 1:], individual[..., 1:])


def test_the_literal_orientation_credits_the_other_agent():
    individual, local = advantages_when_0_moves_2(orientation="attention")
    assert torch.allclose(local[..., 2], individual[..., 2] + individual[..., 0])
    assert torch.equal(local[..., :2], individual[..., :2])


def test_without_the_forced_diagonal_agents_do_not_get_their_individual_advantage():
    individual, local = advantages_when_0_moves_2(diagonal=False)
    assert torch.allclose(local[..., 0], individual[..., 2])
    assert not local[..., 1:].any()


@pytest.mark.parametrize(
    ("discretise", "low", "high"),
    [
        (Threshold(0.05), 1, 1),
        (Threshold(0.95), 0, 0),
        (Bernoulli(noise=False), 0.05, 0.15),
        (Soft(), 0.1, 0.1),
    ],
)
def test_weights_of_a_tenth_are_discretised(discretise, low, high):
    td = valued_rollout()
    td["agents", "influence_weight"] = torch.full((B, T, N, N), 0.1)
    ILVFAdvantage(gae(), discretise=discretise, diagonal=False)(td)
    assert low - 1e-6 <= td["agents", "influence"].mean().item() <= high + 1e-6


def test_advantages_are_standardised_per_agent_over_all_agents_or_not():
    stds = {}
    for choice in ("agent", "global", "none"):
        td = valued_rollout()
        td["next", "agents", "reward"] *= tensor([1.0, 10.0, 100.0]).view(N, 1)
        ILVFAdvantage(gae(), influence=torch.eye(N), normalize=choice)(td)
        stds[choice] = td["agents", "advantage"].std((0, 1), correction=0).flatten().tolist()
    assert stds["agent"] == pytest.approx([1, 1, 1], abs=1e-3)
    assert stds["global"][2] > 5 * stds["global"][1] > 5 * stds["global"][0]
    assert stds["none"][2] > 50


# ---------------------------------------------------------------------- with critics and losses
def test_it_runs_the_critic_and_works_in_a_sequence_of_modules():
    critic = InfluenceCritic(N, D, A, hidden=8)
    td = random_rollout(B, T, N, D)
    double = TensorDictModule(
        lambda a: 2 * a, in_keys=[("agents", "advantage")], out_keys=["double"]
    )
    estimator = ILVFAdvantage(gae(), critic.value_module())
    out = TensorDictSequential(estimator, double)(td)
    assert torch.equal(out["double"], 2 * out["agents", "advantage"])
    value, _, _ = critic(td["agents", "state"])
    next_value, _, _ = critic(td["next", "agents", "state"])
    assert torch.allclose(out["agents", "state_value"], value)
    assert torch.allclose(out["next", "agents", "state_value"], next_value)
    held = {id(parameter) for parameter in estimator.parameters()}
    assert held == {id(parameter) for parameter in critic.parameters()}


def test_it_is_the_value_estimator_of_torchrls_loss():
    """`MAPPOLoss.make_value_estimator(ILVFAdvantage(...))` writes the local advantage."""
    actor = CategoricalActor(N, D, A, hidden=8)
    critic = InfluenceCritic(N, D, A, hidden=8).value_module()
    loss = MAPPOLoss(torchrl_policy(actor), critic, normalize_advantage=False)
    loss.make_value_estimator(ILVFAdvantage(gae(), critic))
    keys = {name: ("agents", name) for name in ("advantage", "value_target", "reward")}
    loss.set_keys(**keys, value=("agents", "state_value"), done="done", terminated="terminated")
    td = actor(random_rollout(B, T, N, D)).detach()
    expected = ILVFAdvantage(gae(), critic)(td.clone())["agents", "advantage"]
    loss.value_estimator(td)
    assert torch.equal(td["agents", "advantage"], expected)
    terms = loss(td.reshape(-1))
    sum(value for name, value in terms.items() if name.startswith("loss_")).backward()
    for head in (actor.net.head, critic.module.value.head):
        assert head.weight.grad.abs().sum() > 0


def test_shifted_values_equal_values_of_the_next_states():
    """V of the next state is V of the following row, except where an episode ends."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    ends = [(0, 2), (3, 5)]
    td = random_rollout(B, T, N, D, done_at=ends)
    td["next", "agents", "state"][:, :-1] = td["agents", "state"][:, 1:]
    for row, step in ends:
        td["next", "agents", "state"][row, step] += 1.0  # not the first state of the next episode
    found = []
    for shifted in (False, True):
        estimator = ILVFAdvantage(gae(), critic.value_module(), shifted=shifted)
        found.append(estimator(td.clone()))
    for key in (("next", "agents", "state_value"), ("agents", "advantage")):
        assert torch.allclose(found[0][key], found[1][key], atol=1e-5)


# ---------------------------------------------------------------------- mistakes
def test_bad_arguments_are_one_sentence(refused):
    with refused("influence", "square", "(3, 2)"):
        ILVFAdvantage(gae(), influence=torch.ones(3, 2))
    with refused("orientation", "sideways", "attention"):
        ILVFAdvantage(gae(), orientation="sideways")
    with refused("Threshold", "c=0", "(0, 1]"):
        Threshold(0)


def test_bad_rollouts_are_one_sentence(refused):
    td = valued_rollout()
    with refused("2 agents", "3"):
        ILVFAdvantage(gae(), influence=torch.ones(2, 2))(td)
    with refused("('next', 'agents', 'reward')", "next"):
        ILVFAdvantage(gae())(td.exclude(("next", "agents", "reward")))
    with refused("('agents', 'influence_weight')"):
        ILVFAdvantage(gae())(td.exclude(("agents", "influence_weight")))
    td["agents", "influence_weight"] = torch.rand(B, T, N, 2)
    with refused("influence_weight", f"({B}, {T}, {N}, 2)", f"({B}, {T}, {N}, {N})"):
        ILVFAdvantage(gae())(td)
