"""What `ILVFAdvantage` refuses: each error names the key, the shape found and the one needed."""

import pytest
import torch

from credit_helpers import A, B, D, N, T, acted_rollout, gae, influence_values, valued_rollout
from ilvf.credit import Bernoulli, ILVFAdvantage
from ilvf.modules import InfluenceCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def estimator():
    return ILVFAdvantage(gae())


@pytest.fixture
def td():
    return valued_rollout()


# ---------------------------------------------------------------------- arguments
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inner": 0.5}, ("inner", "value estimator", "0.5")),
        ({"influence": torch.full((2, 2), float("nan"))}, ("not finite",)),
        ({"influence": [[1.0]]}, ("tensor", "list")),
        ({"critic": InfluenceCritic(N, D, A)}, ("InfluenceCritic", "value_module()")),
        ({"group": ()}, ("group", "empty")),
        ({"group": ("agents", "agents")}, ("group", "a name twice")),
        ({"discretise": "threshold"}, ("discretise", "Bernoulli()")),
        ({"discretise": Bernoulli}, ("discretise", "Bernoulli()")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_arguments(options, words, refused):
    with refused(*words):
        ILVFAdvantage(**{"inner": gae(), **options})


# ---------------------------------------------------------------------- time
def test_a_flat_batch_has_no_time(estimator, td, refused):
    with refused("one dimension", "flattened", "time"):
        estimator(td.reshape(-1))


def test_a_time_dimension_that_does_not_exist(estimator, td, refused):
    with refused("time_dim=2", f"({B}, {T})"):
        estimator(td, time_dim=2)


def test_two_different_time_dimensions(td, refused):
    with refused("time_dim=0", "time_dim=1", "one of them"):
        ILVFAdvantage(gae(time_dim=1))(td, time_dim=0)


# ---------------------------------------------------------------------- shapes
def test_a_value_of_the_team(estimator, td, refused):
    td["agents", "state_value"] = torch.randn(B, T, 1)
    with refused("('agents', 'state_value')", f"({B}, {T}, 1)", f"({B}, {T}, N, 1)"):
        estimator(td)


def test_a_reward_without_the_last_dimension(estimator, td, refused):
    td["next", "agents", "reward"] = torch.randn(B, T, N)
    shapes = (f"({B}, {T}, {N})", f"({B}, {T}, {N}, 1)", f"({B}, {T}, 1)")
    with refused("('next', 'agents', 'reward')", *shapes):
        estimator(td)


def test_a_mask_of_another_team(estimator, td, refused):
    td["agents", "mask"] = torch.ones(B, T, 2, dtype=torch.bool)
    with refused("('agents', 'mask')", f"({B}, {T}, 2)", f"({B}, {T}, {N})"):
        estimator(td)


def test_states_of_another_width(td, refused):
    critic = InfluenceCritic(N, D + 1, A, hidden=8)
    value = critic.value_module(state_key="observation")
    with refused(f"{N} agents", f"states of {D + 1}", f"({B}, {T}, {N}, {D})"):
        ILVFAdvantage(gae(), value)(td)


@pytest.mark.parametrize("weight", [5.0, -0.1, float("nan")])
def test_weights_that_are_no_probabilities(weight, estimator, td, refused):
    td["agents", "influence_weight"] = torch.full((B, T, N, N), weight)
    with refused("influence_weight", "[0, 1]", "logits"):
        estimator(td)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "key",
    [("agents", "state_value"), ("next", "agents", "reward"), ("next", "agents", "state_value")],
)
def test_numbers_that_are_not_finite(key, number, estimator, td, refused):
    td[key][0, 1, 2] = number
    with refused(str(key), "NaN or infinite"):
        estimator(td)


def test_a_dead_agents_numbers_may_be_anything(estimator, td):
    td["agents", "mask"] = torch.ones(B, T, N, dtype=torch.bool)
    td["agents", "mask"][..., 2] = False
    td["next", "agents", "reward"][..., 2, :] = float("nan")
    assert torch.isfinite(estimator(td)["agents", "advantage"]).all()


def test_a_rollout_without_steps(estimator, td, refused):
    with refused(f"(0, {T})", "without a step"):
        estimator(td[:0])


# ---------------------------------------------------------------------- missing keys
def test_no_influence_weights(estimator, td, refused):
    with refused("influence_weight", "needed"):
        estimator(td.exclude(("agents", "influence_weight")))


def test_no_earlier_draw(estimator, td, refused):
    with refused("redraw=True", "('agents', 'influence')"):
        estimator(td.exclude(("agents", "influence")), redraw=False)


def test_no_states(refused):
    value = InfluenceCritic(N, D, A).value_module()
    td = acted_rollout().exclude(("agents", "state"), ("next", "agents", "state"))
    with refused("('agents', 'state')", "state_key='observation'"):
        ILVFAdvantage(gae(), value)(td)


def test_no_observations_of_the_next_step(refused):
    td = acted_rollout().exclude(("next", "agents", "observation"))
    with refused("('next', 'agents', 'observation')"):
        ILVFAdvantage(gae(), influence_values())(td)


def test_a_reward_under_another_key(estimator, td, refused):
    td.rename_key_(("next", "agents", "reward"), ("next", "agents", "r"))
    with refused("('next', 'agents', 'reward')", "loss.set_keys"):
        estimator(td)
