"""`ILVFAdvantage` with continuous actions, recurrent actors and recurrent critics."""

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.modules import GRUModule, ProbabilisticActor, TanhNormal, set_recurrent_mode
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import MultiAgentGAE

from credit_helpers import (
    GAMMA,
    LMBDA,
    A,
    B,
    D,
    N,
    T,
    acted_rollout,
    gae,
    influence_values,
    set_agent_keys,
    total_loss,
)
from ilvf.credit import ILVFAdvantage
from ilvf.losses import ActionValueLoss
from ilvf.modules import InfluenceCritic, StateCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class LocAndScale(nn.Module):
    """Location and scale of two continuous actions, from observations."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(D, 4)

    def forward(self, observation):
        loc, scale = self.linear(observation).chunk(2, -1)
        return loc, nn.functional.softplus(scale) + 0.1


def test_continuous_actions():
    """TorchRL's MAPPOLoss with a TanhNormal policy; Q reads the continuous joint action."""
    parameters = [("agents", "loc"), ("agents", "scale")]
    net = LocAndScale()
    actor = ProbabilisticActor(
        TensorDictModule(net, in_keys=[("agents", "observation")], out_keys=parameters),
        in_keys=parameters,
        out_keys=[("agents", "action")],
        distribution_class=TanhNormal,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    critic = InfluenceCritic(N, D, 2, hidden=8)
    value = critic.value_module(state_key="observation")
    td = acted_rollout().exclude(("agents", "action"), ("agents", "action_log_prob"))
    td = ILVFAdvantage(gae(), value)(actor(td).detach())
    loss = set_agent_keys(MAPPOLoss(actor, value))
    action_value_loss = ActionValueLoss(critic, state_key="observation")
    flat = td.reshape(-1)
    (total_loss(loss(flat)) + total_loss(action_value_loss(flat))).backward()
    assert net.linear.weight.grad.abs().sum() > 0
    assert critic.action_value.head.weight.grad.abs().sum() > 0


def gru(input_key, input_size):
    """A GRU over the steps of a rollout, from `input_key` to "features"."""
    return GRUModule(
        input_size=input_size,
        hidden_size=8,
        in_keys=[input_key, "hidden", "is_init"],
        out_keys=["features", ("next", "hidden")],
    )


def with_recurrent_state(td):
    """Write what a GRU reads at the start of every step; returns `td`."""
    for part in (td, td["next"]):
        part["is_init"] = torch.zeros(B, T, 1, dtype=torch.bool)
        part["hidden"] = torch.zeros(B, T, 1, 8)
    return td


def test_a_recurrent_actor():
    """MAPPOLoss trains a GRU over the joint observation on whole trajectories."""
    recurrent = gru("joint", N * D)
    head = nn.Sequential(nn.Linear(8, N * A), nn.Unflatten(-1, (N, A)))
    logits = TensorDictModule(head, in_keys=["features"], out_keys=[("agents", "logits")])
    actor = ProbabilisticActor(
        TensorDictSequential(recurrent, logits),
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    value = influence_values()
    td = with_recurrent_state(acted_rollout())
    for part in (td, td["next"]):
        part["joint"] = part["agents", "observation"].flatten(-2)
    td = ILVFAdvantage(gae(), value)(td)
    loss = set_agent_keys(MAPPOLoss(actor, value))
    with set_recurrent_mode(True):
        terms = loss(td)
    terms["loss_objective"].backward()
    assert recurrent.gru.weight_ih_l0.grad.abs().sum() > 0


@pytest.fixture
def recurrent_critic():
    head = nn.Sequential(nn.Linear(8, N), nn.Unflatten(-1, (N, 1)))
    value = TensorDictModule(head, in_keys=["features"], out_keys=[("agents", "state_value")])
    return TensorDictSequential(gru("observation", D), value)


def test_a_recurrent_critic_is_refused(recurrent_critic, refused):
    with refused("recurrent", "shifted=True"):
        ILVFAdvantage(gae(), recurrent_critic)


def test_a_recurrent_critic_works_inside_the_inner_estimator(recurrent_critic):
    td = with_recurrent_state(acted_rollout())
    for part in (td, td["next"]):
        part["observation"] = part["agents", "observation"].mean(-2)
    inner = MultiAgentGAE(gamma=GAMMA, lmbda=LMBDA, value_network=recurrent_critic, shifted=True)
    with set_recurrent_mode(True):
        out = ILVFAdvantage(inner, influence=torch.eye(N), normalize="none")(td)
    assert out["agents", "advantage"].shape == (B, T, N, 1)
    assert torch.isfinite(out["agents", "advantage"]).all()
    assert out["agents", "state_value"].std() > 0


# ---------------------------------------------------------------------- recurrent critics of ours
def test_a_memory_that_nothing_writes_is_one_sentence(refused):
    critic = StateCritic(N, D, hidden=8, recurrent="gru")
    advantage = ILVFAdvantage(gae(), critic.value_module(state_key="observation"), torch.eye(N))
    td = acted_rollout()
    with refused("critic_hidden is needed", "critic.memory_module()", "with_memory"):
        advantage(td)
    td["critic_hidden"] = critic.memory.start(*td.shape)
    td["next", "critic_hidden"] = td["critic_hidden"].clone()
    with refused("critic_hidden are 0 after every step", "critic.memory_module()"):
        advantage(td)
    critic.memory_module(state_key="observation")(td)
    assert advantage(td)["agents", "advantage"].isfinite().all()
