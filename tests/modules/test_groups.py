"""Critics of several groups: the groups are one team, whose critic is trained."""

import pytest
import torch
from tensordict import TensorDict
from torchrl.objectives.value import MultiAgentGAE

from ilvf.credit import ILVFAdvantage
from ilvf.losses import ActionValueLoss
from ilvf.modules import Box, CentralCritic, Choices, InfluenceCritic, StateCritic
from ilvf.modules.groups import joined_actions, joined_states

GROUPS = ("cars", "lights")
B = 6  # rows
SIZES = {"cars": 2, "lights": 3}  # agents of each group
N = 5  # agents
D = 4  # numbers of a state of a light, one more than of a car
A = 3  # actions


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    return InfluenceCritic(N, D, A, hidden=8)


@pytest.fixture
def td():
    """Two groups with states of different widths."""
    td = TensorDict({}, [B])
    for name, n in SIZES.items():
        width = D if name == "lights" else D - 1
        td[name, "state"] = torch.randn(B, n, width)
        td[name, "action"] = torch.randint(A, (B, n))
        td[name, "value_target"] = torch.randn(B, n, 1)
        td[name, "mask"] = torch.rand(B, n) < 0.8
    return td


def team(td, action=None):
    """The same as one group; the state of a car ends with a zero."""
    cars = torch.cat([td["cars", "state"], torch.zeros(B, 2, 1)], -1)
    joined = TensorDict({}, [B])
    joined["agents", "state"] = torch.cat([cars, td["lights", "state"]], -2)
    for key, dim in (("value_target", -2), ("mask", -1)):
        joined["agents", key] = torch.cat([td[name, key] for name in GROUPS], dim)
    if action is None:
        action = torch.cat([td[name, "action"] for name in GROUPS], -1)
    joined["agents", "action"] = action
    return joined


def test_the_values_are_those_of_one_team(critic, td):
    found = critic.value_module(GROUPS)(td)
    expected = critic.value_module()(team(td))
    both = torch.cat([found[name, "state_value"] for name in GROUPS], -2)
    assert torch.equal(both, expected["agents", "state_value"])
    assert torch.equal(found["influence_weight"], expected["agents", "influence_weight"])
    assert found["lights", "state_value"].shape == (B, 3, 1)


def test_the_module_has_the_parameters_of_the_critic(critic):
    held = {id(p) for p in critic.value_module(GROUPS).parameters()}
    assert held == {id(p) for p in critic.parameters()}


def test_a_critic_without_attention_writes_values_only(td):
    module = StateCritic(N, D, hidden=8).value_module(list(GROUPS))
    assert module.out_keys == [("cars", "state_value"), ("lights", "state_value")]
    assert module(td)["cars", "state_value"].shape == (B, 2, 1)


def test_the_loss_is_that_of_one_team(critic, td):
    torch.manual_seed(1)
    found = ActionValueLoss(critic, group=GROUPS)(td)["loss_action_value"]
    torch.manual_seed(1)
    expected = ActionValueLoss(critic)(team(td))["loss_action_value"]
    assert torch.equal(found, expected)
    found.backward()
    assert critic.attention.logits.head.weight.grad.abs().sum() > 0


def test_actions_of_groups_are_one_hot_or_padded():
    states = [torch.zeros(1, 1, D), torch.zeros(1, 2, D)]
    discrete = torch.tensor([[1]])
    continuous = torch.tensor([[[0.5, -1.0], [2.0, 3.0]]])
    found = joined_actions([discrete, continuous], states, Choices(3))
    expected = [[[0.0, 1.0, 0.0], [0.5, -1.0, 0.0], [2.0, 3.0, 0.0]]]
    assert found.tolist() == expected


def test_the_loss_of_groups_with_continuous_actions_is_that_of_one_team(td):
    """Cars have one number and lights two; the second of a car is padding."""
    low = torch.tensor([[-1.0, 0.0]] * 2 + [[0.0, -2.0]] * 3)
    box = Box(low, low + torch.tensor([[3.0, 0.0]] * 2 + [[1.0, 4.0]] * 3))
    critic = InfluenceCritic(N, D, box, hidden=8)
    joint = box.random(torch.zeros(B, N, D))
    td["cars", "action"] = joint[:, :2, :1]
    td["lights", "action"] = joint[:, 2:]
    torch.manual_seed(1)
    found = ActionValueLoss(critic, group=GROUPS)(td)["loss_action_value"]
    torch.manual_seed(1)
    expected = ActionValueLoss(critic)(team(td, joint))["loss_action_value"]
    assert torch.equal(found, expected)


def test_mistakes_are_one_sentence(critic, td, refused):
    with refused("states of 3 numbers", "states of 4", "widest"):
        joined_states([torch.zeros(1, 1, 3), torch.zeros(1, 1, 4)], 3)
    with refused("group", "()"):
        critic.value_module(())
    with refused("CentralCritic has one value"):
        CentralCritic(N, D, hidden=8).value_module(GROUPS)
    with refused("no group 'buses'", "'cars'", "'lights'"):
        inner = MultiAgentGAE(gamma=0.9, lmbda=0.9, value_network=None)
        ILVFAdvantage(inner, group="buses")(td.unsqueeze(0))
