"""`ILVFAdvantage` with other group names, several groups, dead agents and other batch shapes."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.objectives.value import MultiAgentGAE

from credit_helpers import A, B, D, N, T, acted_rollout, gae, influence_values, valued_rollout
from ilvf.credit import Bernoulli, ILVFAdvantage, Soft, Threshold
from ilvf.losses import ActionValueLoss
from ilvf.modules import InfluenceCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- groups
def test_the_group_may_have_any_name():
    td = valued_rollout()
    following = {**td["next"].exclude("agents"), "cars": td["next", "agents"]}
    names = [None, "time"]
    renamed = TensorDict({"cars": td["agents"], "next": following}, td.shape, names=names)
    expected = ILVFAdvantage(gae())(td)
    found = ILVFAdvantage(gae(), group="cars")(renamed)
    for key in ("advantage", "value_target", "influence"):
        assert torch.equal(found["cars", key], expected["agents", key])


def split_in_two_groups(td):
    """The same rollout with agents 0-1 as "cars", 2-4 as "lights"; weights at the root."""
    split = TensorDict(
        {
            "next": td["next"].exclude("agents"),
            "influence_weight": td["agents", "influence_weight"],
        },
        td.shape,
        names=td.names,
    )
    for name, members in (("cars", slice(0, 2)), ("lights", slice(2, 5))):
        split[name, "state_value"] = td["agents", "state_value"][..., members, :]
        for key in ("state_value", "reward"):
            split["next", name, key] = td["next", "agents", key][..., members, :]
    return split


def test_several_groups_are_one_team():
    """Groups of 2 and 3 agents with a joint 5 × 5 influence equal one group of 5."""
    td = valued_rollout(n_agents=5)
    split = split_in_two_groups(td)
    whole = ILVFAdvantage(gae())(td)
    parts = ILVFAdvantage(gae(), group=("cars", "lights"))(split)
    for key in ("advantage", "value_target", "individual_advantage"):
        both = torch.cat([parts["cars", key], parts["lights", key]], -2)
        assert torch.allclose(both, whole["agents", key], atol=1e-6), key
    assert torch.equal(parts["influence"], whole["agents", "influence"])


# ---------------------------------------------------------------------- dead agents
@pytest.fixture
def mask():
    """Agent 1 is dead from step 3 in the rows from 2."""
    alive = torch.ones(B, T, N, dtype=torch.bool)
    alive[2:, 3:, 1] = False
    return alive


@pytest.fixture
def padded(mask):
    """A rollout with large rewards where agents are dead."""
    td = valued_rollout()
    td["agents", "mask"] = mask
    td["next", "agents", "reward"][~mask] = 1e6
    return td


def test_dead_agents_give_and_get_no_credit(padded, mask):
    out = ILVFAdvantage(gae(), influence=torch.ones(N, N), normalize="none")(padded)
    alive = mask.unsqueeze(-1)
    individual = out["agents", "individual_advantage"].where(alive, 0)
    expected = individual.sum(-2, keepdim=True).expand_as(individual).where(alive, 0)
    assert torch.allclose(out["agents", "advantage"], expected)


@pytest.mark.parametrize("normalize", ["agent", "global"])
def test_dead_agents_do_not_enter_the_standardisation(normalize, padded, mask):
    out = ILVFAdvantage(gae(), influence=torch.eye(N), normalize=normalize)(padded)
    advantage = out["agents", "advantage"].squeeze(-1)
    agents = slice(1, 2) if normalize == "agent" else slice(None)
    alive = advantage[..., agents][mask[..., agents]]
    assert alive.mean().abs() < 1e-5
    assert alive.std(correction=0) == pytest.approx(1.0, abs=1e-4)
    assert not advantage[~mask].any()


def test_a_mask_of_ones_changes_nothing():
    td = valued_rollout()
    plain = ILVFAdvantage(gae())(td.copy())["agents", "advantage"]
    td["agents", "mask"] = torch.ones(B, T, N, 1, dtype=torch.bool)
    assert torch.allclose(ILVFAdvantage(gae())(td)["agents", "advantage"], plain, atol=1e-6)


class Hundred(torch.nn.Module):
    """V = 100 in all states, also of the dead."""

    def forward(self, observation):
        return torch.full_like(observation[..., :1], 100.0)


@pytest.mark.parametrize("values", ["of the critic", "of the inner network", "in the rollout"])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_the_value_of_a_dead_agents_state_does_not_count(values, bootstrap):
    """Agent 0 dies in step 0, without reward: A = −V; with `bootstrap` its future counts."""
    td = acted_rollout(rows=1, steps=2)
    td["next", "agents", "reward"] = torch.zeros(1, 2, N, 1)
    td["next", "done"] = td["next", "terminated"] = torch.zeros(1, 2, 1, dtype=torch.bool)
    mask = torch.ones(1, 2, N, dtype=torch.bool)
    mask[:, 1, 0] = False
    td["agents", "mask"] = mask
    td["next", "agents", "mask"] = mask[:, [1, 1]]
    if bootstrap:
        td["next", "agents", "bootstrap"] = torch.ones_like(mask)
    key = ("agents", "state_value")
    network = TensorDictModule(Hundred(), [("agents", "observation")], [key])
    if values == "in the rollout":
        td[key] = td["next", *key] = torch.full((1, 2, N, 1), 100.0)
    inner = MultiAgentGAE(
        gamma=0.9, lmbda=0.9, value_network=network if values == "of the inner network" else None
    )
    critic = network if values == "of the critic" else None
    out = ILVFAdvantage(inner, critic, torch.eye(N), normalize="none")(td)
    expected = -10.0 if bootstrap else -100.0
    assert out["agents", "advantage"][0, 0, 0].item() == pytest.approx(expected)


# ---------------------------------------------------------------------- shapes and types
@pytest.fixture(params=[False, True], ids=["not shifted", "shifted"])
def estimator(request):
    return ILVFAdvantage(gae(), influence_values(), normalize="none", shifted=request.param)


@pytest.fixture
def expected(estimator):
    """A rollout and its advantages, computed as `[B, T]`."""
    td = acted_rollout()
    return td, estimator(td.clone())["agents", "advantage"]


def test_two_batch_dimensions(estimator, expected):
    td, advantage = expected
    deep = estimator(td.clone().reshape(2, 3, T))["agents", "advantage"]
    assert torch.allclose(deep.reshape(B, T, N, 1), advantage, atol=1e-6)


def test_one_trajectory_without_a_batch_dimension(estimator, expected):
    td, advantage = expected
    one = td[4].clone()
    assert one.names == ["time"]
    assert torch.allclose(estimator(one)["agents", "advantage"], advantage[4], atol=1e-6)
    unnamed = td[4].clone()
    unnamed.names = None
    found = estimator(unnamed, time_dim=0)["agents", "advantage"]
    assert torch.allclose(found, advantage[4], atol=1e-6)


@pytest.mark.parametrize("named", [True, False])
def test_time_may_be_the_first_dimension(named, estimator, expected):
    td, advantage = expected
    first = td.clone().transpose(0, 1).contiguous()  # its names are transposed too
    if named:
        found = estimator(first)["agents", "advantage"]
    else:
        first.names = None
        found = estimator(first, time_dim=0)["agents", "advantage"]
    assert torch.allclose(found.transpose(0, 1), advantage, atol=1e-6)


def test_value_targets_have_the_time_axis_that_is_given(estimator, expected):
    td, _ = expected
    target = estimator.value_estimate(td.clone())
    first = td.clone().transpose(0, 1).contiguous()
    first.names = None
    found = estimator.value_estimate(first, time_dim=0)
    assert torch.allclose(found.transpose(0, 1), target, atol=1e-5)


def as_double(tensor):
    return tensor.double() if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("discretise", [Threshold(), Bernoulli(), Soft()])
def test_double_precision(discretise):
    td = acted_rollout().apply(as_double)
    critic = InfluenceCritic(N, D, A, hidden=8).double()
    value = critic.value_module(state_key="observation")
    out = ILVFAdvantage(gae(), value, discretise=discretise)(td)
    assert out["agents", "advantage"].dtype == torch.float64
    assert out["agents", "influence"].dtype == torch.float64
    loss = ActionValueLoss(critic, state_key="observation")(out)["loss_action_value"]
    assert loss.dtype == torch.float64
