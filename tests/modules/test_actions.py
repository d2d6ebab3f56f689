"""`Box` and `Choices`: bounds, vectors for networks, random actions, specs."""

import math

import pytest
import torch
from torch.nn import functional as F

from continuous_helpers import HIGH, LOW
from ilvf.modules import (
    Box,
    Choices,
    CounterfactualCritic,
    GreedyActor,
    InfluenceCritic,
    JointCritic,
    RelevanceCritic,
)
from ilvf.modules.actions import actions_of_spec
from ilvf.modules.agent_nets import joint_action

STATE = torch.zeros(4, 2, 3)


@pytest.fixture
def box():
    return Box(LOW, HIGH)


def test_bounds_become_minus_one_and_one(box):
    """Middles are 1, 5 and −1.5; the padding is 0 at both bounds."""
    assert box.normalize(box.low).tolist() == [[-1, 0], [-1, -1]]
    assert box.normalize(box.high).tolist() == [[1, 0], [1, 1]]
    assert box.denormalize(torch.zeros(2, 2)).tolist() == [[1, 0], [5, -1.5]]
    assert box.free.tolist() == [[True, False], [True, True]]


def test_there_and_back(box):
    u = 2 * torch.rand(50, 2, 2) - 1
    again = box.normalize(box.denormalize(u))
    assert torch.allclose(again, u * box.free, atol=1e-6)


def test_what_is_beyond_the_bounds_is_clipped(box):
    assert torch.equal(box.denormalize(torch.full((2, 2), 9.0)), box.high)
    assert torch.equal(box.denormalize(torch.full((2, 2), -9.0)), box.low)


@pytest.mark.parametrize("bounds", [(-0.1, 0.7), (1e30, 3e30), (-1e-30, 1e-30), (0.1, 0.3)])
def test_rounding_does_not_leave_the_bounds(bounds):
    box = Box([[bounds[0]]], [[bounds[1]]])
    action = box.denormalize(torch.linspace(-1, 1, 1001).view(-1, 1, 1))
    assert not box.problem(action, "it")
    assert box.normalize(action).abs().max() <= 1 + 1e-6


def test_random_actions_fill_the_box(box):
    torch.manual_seed(0)
    u = box.normalize(box.random(torch.zeros(4000, 2, 7)))
    assert u[:, 0, 1].abs().max() == 0
    free = u.flatten(1)[:, [0, 2, 3]]
    assert free.mean(0).abs().max() < 5 / math.sqrt(3 * 4000)
    assert free.abs().max() > 0.99


def test_networks_read_scaled_actions(box):
    action = box.random(STATE)
    joint = joint_action(action, STATE, box)
    assert torch.equal(joint, box.normalize(action).flatten(1))


def test_networks_read_one_hot_actions():
    action = torch.tensor([[0, 2], [1, 1]])
    joint = joint_action(action, STATE[:2], Choices(3))
    assert torch.equal(joint, F.one_hot(action, 3).flatten(1).float())


@pytest.mark.parametrize("make", [InfluenceCritic, RelevanceCritic])
def test_a_critic_does_not_depend_on_the_units_of_actions(make, box):
    """The same actions in other units have the same value."""
    units = Box(3 * box.low + 1, 3 * box.high + 1)
    torch.manual_seed(0)
    critic = make(2, 3, box, hidden=8)
    other = make(2, 3, units, hidden=8)
    other.load_state_dict(critic.state_dict())
    state, action = torch.randn(6, 2, 3), box.random(torch.zeros(6, 2, 1))
    values = []
    for network, a in ((critic, action), (other, 3 * action + 1)):
        torch.manual_seed(1)  # the noise of an attention
        values.append(network.predict(state, a)[1])
    assert torch.allclose(values[0], values[1], atol=1e-5)
    assert not torch.allclose(values[0], critic.predict(state, box.random(state))[1])


def test_a_box_has_no_entries_in_a_state_dict(box):
    assert not box.state_dict()
    critic = JointCritic(2, 3, box, hidden=8)
    assert critic.state_dict().keys() == JointCritic(2, 3, 2, hidden=8).state_dict().keys()


def test_a_spec_gives_the_same_actions_back(box):
    for actions in (box, Choices(4)):
        spec = actions.spec((3, 2), torch.device("cpu"))
        assert actions_of_spec(spec).arguments == actions.arguments
        torch.manual_seed(0)
        assert not actions.problem(spec.rand(), "it")


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ([[0.0]], [[math.inf]], "not finite"),
        ([[math.nan]], [[1.0]], "not finite"),
        ([[-3e38]], [[3e39]], "not finite"),
        ([[1.0]], [[0.0]], "above its upper bound"),
        ([[1.0]], [[1.0]], "free to vary"),
        ([0.0], [1.0], "need (N, A)"),
        ([[]], [[]], "need (N, A)"),
        ([[0.0, 0.0]], [[1.0]], "need the same"),
        ([[0.0], [0.0, 1.0]], [[1.0]], "no table of numbers"),
        ("low", [[1.0]], "no table of numbers"),
        (None, [[1.0]], "no table of numbers"),
    ],
)
def test_wrong_bounds_are_refused(low, high, words, refused):
    with refused(words):
        Box(low, high)


@pytest.mark.parametrize("number", [0, -1, 2.5, None, "3"])
def test_a_wrong_number_of_choices_is_refused(number, refused):
    with refused("at least 1"):
        Choices(number)


@pytest.mark.parametrize("make", [CounterfactualCritic, GreedyActor])
def test_networks_of_discrete_actions_refuse_a_box(make, box, refused):
    with refused("discrete actions", "Box"):
        make(2, 3, box)


def test_other_shapes_are_refused(box, refused):
    for wrong in (torch.zeros(4, 2), torch.zeros(4, 2, 3), torch.zeros(4, 2, 2, dtype=torch.long)):
        with refused("the critic needs numbers (4, 2, 2)"):
            box.encode(wrong, STATE)
