"""Inputs of one or two numbers: LayerNorm would remove what they say."""

import pytest
import torch
from tensordict import TensorDict

from ilvf.modules import (
    CategoricalActor,
    CentralCritic,
    InfluenceCritic,
    LocalCritic,
    RelevanceCritic,
    StateCritic,
)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("n_agents", [1, 2])
def test_a_policy_sees_more_than_which_number_is_larger(n_agents, size):
    """Observations in the same order, of other sizes, give other action probabilities."""
    torch.manual_seed(0)
    actor = CategoricalActor(n_agents, size, 3, gain=1.0)
    small = torch.arange(1.0, 1.0 + size).expand(1, n_agents, size)
    assert not torch.allclose(actor.log_probs(small), actor.log_probs(3 * small), atol=1e-4)


CRITICS = {
    "state": lambda n, d: StateCritic(n, d),
    "state, shared first": lambda n, d: StateCritic(n, d, shared_first=True),
    "local": lambda n, d: LocalCritic(n, d),
    "central": lambda n, d: CentralCritic(n, d),
    "influence": lambda n, d: InfluenceCritic(n, d, 2),
    "influence, shared first": lambda n, d: InfluenceCritic(n, d, 2, shared_first=True),
    "relevance": lambda n, d: RelevanceCritic(n, d, 2),
}


@pytest.mark.parametrize("make", CRITICS.values(), ids=CRITICS)
@pytest.mark.parametrize("size", [1, 2])
def test_the_critic_of_a_team_of_one_sees_its_state(make, size):
    torch.manual_seed(0)
    critic = make(1, size)
    action = torch.zeros(1, 1, dtype=torch.long)
    state = torch.arange(1.0, 1.0 + size).expand(1, 1, size)
    torch.manual_seed(1)
    value, action_value = critic.predict(state, action)
    torch.manual_seed(1)
    other, other_action_value = critic.predict(3 * state, action)
    assert torch.isfinite(value).all()
    assert not torch.allclose(value, other, atol=1e-5)
    if action_value is not None:
        assert not torch.allclose(action_value, other_action_value, atol=1e-5)


# ---------------------------------------------------------------------- one state
@pytest.mark.parametrize("make", CRITICS.values(), ids=CRITICS)
def test_a_critic_reads_one_state_without_a_batch(make):
    torch.manual_seed(0)
    critic = make(3, 4)
    state = torch.randn(3, 4)
    action = torch.randint(2, (3,))
    torch.manual_seed(1)
    found = critic.predict(state, action)
    torch.manual_seed(1)
    batched = critic.predict(state.unsqueeze(0), action.unsqueeze(0))
    for one, several in zip(found, batched, strict=True):
        assert (one is None) == (several is None)
        assert one is None or torch.allclose(one, several.squeeze(0), atol=1e-6)


@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_a_policy_reads_one_observation_without_a_batch(recurrent):
    torch.manual_seed(0)
    actor = CategoricalActor(3, 4, 5, recurrent=recurrent)
    td = TensorDict({"agents": {"observation": torch.randn(3, 4)}}, [])
    if actor.memory is not None:
        td["agents", "hidden"] = torch.zeros(actor.memory.sizes)
    wanted = actor.log_probs_of(td.unsqueeze(0)).squeeze(0)
    assert torch.allclose(actor.log_probs_of(td), wanted, atol=1e-6)
    assert actor(td)["agents", "action"].shape == (3,)
