"""`tempered`: probabilities raised to the power 1/T."""

import pytest
import torch

from choices_helpers import COUNTS
from continuous_helpers import HIGH, LOW
from ilvf.errors import UsageError
from ilvf.modules import Box, CategoricalActor, GaussianActor, MultiCategoricalActor, MultiChoices
from ilvf.modules.actors.tempered import tempered

OBSERVATION = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))


def assert_power(log_probs, of, temperature):
    """log π_T = log softmax(log π / T), where actions are possible."""
    expected = (of / temperature).log_softmax(-1)
    assert torch.allclose(log_probs.exp(), expected.exp(), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 3.0])
@pytest.mark.parametrize("share", [False, True])
def test_probabilities_are_raised_to_a_power(temperature, share):
    actor = CategoricalActor(2, 3, 4, hidden=8, gain=1.0, share=share)
    before = actor.log_probs(OBSERVATION)
    other = tempered(actor, temperature)
    assert_power(other.log_probs(OBSERVATION), before, temperature)
    assert torch.equal(actor.log_probs(OBSERVATION), before)  # the actor itself stays


def test_a_recurrent_policy_remembers_the_same():
    actor = CategoricalActor(2, 3, 4, hidden=8, gain=1.0, recurrent="gru")
    hidden = torch.rand(6, *actor.memory.sizes)
    other = tempered(actor, 0.5)
    after = other.log_probs(OBSERVATION, hidden=hidden)
    assert_power(after, actor.log_probs(OBSERVATION, hidden=hidden), 0.5)
    assert torch.equal(*(a.recall(OBSERVATION, hidden)[1] for a in (actor, other)))


def test_impossible_actions_stay_impossible():
    actor = CategoricalActor(2, 3, 4, hidden=8, gain=1.0, masked=True)
    mask = torch.tensor([True, False, True, True]).expand(6, 2, 4)
    after = tempered(actor, 4.0).log_probs(OBSERVATION, mask)
    assert_power(after, actor.log_probs(OBSERVATION, mask), 4.0)
    assert (after[..., 1].exp() == 0).all()


def test_each_of_several_choices_has_the_temperature():
    actor = MultiCategoricalActor(2, 3, MultiChoices(COUNTS), hidden=8, gain=1.0)
    before = actor.component_log_probs(actor.outputs(OBSERVATION))
    other = tempered(actor, 0.5)
    assert_power(other.component_log_probs(other.outputs(OBSERVATION)), before, 0.5)


def test_temperature_one_is_the_actor_itself():
    actor = GaussianActor(len(LOW), 3, Box(LOW, HIGH), hidden=8)
    assert tempered(actor, 1.0) is actor


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), "2", True])
def test_other_temperatures_are_refused(temperature):
    with pytest.raises(UsageError, match="temperature"):
        tempered(CategoricalActor(2, 3, 4, hidden=8), temperature)


def test_a_policy_without_choices_is_refused():
    with pytest.raises(UsageError, match="this one is a GaussianActor"):
        tempered(GaussianActor(len(LOW), 3, Box(LOW, HIGH), hidden=8), 0.5)
