"""`QMIXLoss`: against TorchRL's loss, and against numbers by hand."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives import QMixerLoss, ValueEstimators

from ilvf.losses import QMIXLoss
from ilvf.modules import GreedyActor, Mixer
from losses.off_policy_parts import DO, A, D, N, qmix_loss, transitions


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- against TorchRL
class Values(torch.nn.Module):
    """All action values of an actor, as a module."""

    def __init__(self, actor):
        super().__init__()
        self.actor = actor

    def forward(self, observation):
        return self.actor.values(observation)


def torchrl_networks(actor, mixer):
    """(values and choice of every agent, the mixer), as TorchRL's loss takes them."""
    action = ("agents", "action")
    all_values = ("agents", "action_value")
    chosen_value = ("agents", "chosen_action_value")
    values = TensorDictModule(
        Values(actor), in_keys=[("agents", "observation")], out_keys=[all_values]
    )
    choice = QValueModule(
        action_value_key=all_values,
        out_keys=[action, all_values, chosen_value],
        spec=None,
        action_space="categorical",
    )
    mixed_keys = [chosen_value]
    if mixer.needs_state:
        mixed_keys.append(("agents", "state"))
    mixed = TensorDictModule(mixer, in_keys=mixed_keys, out_keys=["chosen_action_value"])
    return SafeSequential(values, choice), mixed


def torchrl_loss(loss, gamma):
    """TorchRL's QMIX loss on the networks and the targets of `loss`."""
    theirs = QMixerLoss(
        *torchrl_networks(loss.actor, loss.mixer), delay_value=True, action_space="categorical"
    )
    theirs.set_keys(
        action_value=("agents", "action_value"),
        local_value=("agents", "chosen_action_value"),
        action=("agents", "action"),
        global_value="chosen_action_value",
    )
    theirs.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
    target_values, target_mixer = torchrl_networks(loss.target_actor, loss.target_mixer)
    copies = {
        "target_local_value_network_params": target_values,
        "target_mixer_network_params": target_mixer,
    }
    for name, module in copies.items():
        getattr(theirs, name).data.update_(TensorDict.from_module(module).data)
    return theirs


@pytest.mark.parametrize("kind", ["qmix", "vdn"])
def test_without_double_q_the_loss_is_torchrls(kind):
    loss = qmix_loss(kind, double=False, gamma=0.9)
    td = transitions()
    td["next", "terminated"][0] = True
    team = td.clone()
    team["next", "reward"] = td["next", "agents", "reward"].sum(-2)
    team["next", "done"] = team["next", "terminated"]
    expected = torchrl_loss(loss, gamma=0.9)(team)["loss"]
    assert torch.allclose(loss(td)["loss_td"], expected, rtol=0, atol=1e-6)
    other_networks = qmix_loss(kind, gamma=0.9)
    assert not torch.allclose(other_networks(td)["loss_td"], expected, atol=1e-3)


# ---------------------------------------------------------------------- choice of the next action
def set_values(actor, values):
    """Let every agent's action values be `values` at every observation."""
    actor.net.head.weight.data.zero_()
    actor.net.head.bias.data[:] = torch.tensor(values)


@pytest.mark.parametrize(("double", "expected"), [(True, 6.0), (False, 15.0)])
def test_with_double_q_the_learned_network_chooses_and_the_target_values(double, expected):
    """Q̄ = (5, 1, 2) and Q = (0, 0, 1) for all 3 agents: 3 · 2 with double, 3 · 5 without."""
    loss = qmix_loss("vdn", double=double, gamma=1.0)
    set_values(loss.target_actor, [5.0, 1.0, 2.0])
    set_values(loss.actor, [0.0, 0.0, 1.0])
    td = transitions(1)
    td["next", "agents", "reward"].zero_()
    assert loss.target(td).item() == pytest.approx(expected)


def test_impossible_actions_are_not_chosen_in_the_target():
    """Q̄ = (9, 1, 1) and action 0 is impossible: 3 agents with the value 1 each."""
    actor = GreedyActor(N, DO, A, hidden=8, masked=True)
    loss = QMIXLoss(actor, Mixer("vdn", N, D), gamma=1.0, normalize_values=False)
    set_values(loss.target_actor, [9.0, 1.0, 1.0])
    td = transitions(2)
    td["next", "agents", "reward"].zero_()
    mask = torch.ones(2, N, A, dtype=torch.bool)
    mask[..., 0] = False
    td["next", "agents", "action_mask"] = mask
    assert torch.allclose(loss.target(td), torch.tensor(3.0))


def test_the_loss_is_finite_where_no_action_is_possible():
    """As after the end of an episode, in some environments."""
    actor = GreedyActor(N, DO, A, hidden=8, masked=True)
    loss = QMIXLoss(actor, Mixer("vdn", N, D))
    td = transitions(2)
    td["next", "agents", "action_mask"] = torch.zeros(2, N, A, dtype=torch.bool)
    assert torch.isfinite(loss(td)["loss_td"])


# ---------------------------------------------------------------------- direction
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qmix", "vdn"])
def test_the_best_action_of_a_bandit_becomes_greedy(kind):
    """The team's reward is the number of agents that take action 2."""
    loss = QMIXLoss(GreedyActor(N, DO, A, hidden=16), Mixer(kind, N, D), gamma=0.0)
    parameters = [*loss.actor.parameters(), *loss.mixer.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-2)
    for _ in range(150):
        td = transitions(64)
        takes_2 = td["agents", "action"] == 2
        td["next", "agents", "reward"] = takes_2.float().unsqueeze(-1)
        optimiser.zero_grad()
        loss(td)["loss_td"].backward()
        optimiser.step()
    greedy = loss.actor.values(torch.randn(50, N, DO)).argmax(-1)
    assert (greedy == 2).float().mean() > 0.95


def test_a_loss_can_be_in_double_precision():
    loss = qmix_loss("vdn").double()
    assert {parameter.dtype for parameter in loss.parameters()} == {torch.float64}
