"""Agents that die: no credit, no blame, no future, and no part in what the living are measured by."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.objectives.value import MultiAgentGAE

from ilvf.credit import ILVFAdvantage
from ilvf.losses import ILVFLoss
from ilvf.losses.maddpg import MADDPGLoss
from ilvf.modules import CategoricalActor, InfluenceCritic, ValueNorm
from ilvf.modules.critics.joint import JointCritic

N, D, A = 3, 4, 5


class Tens(torch.nn.Module):
    """V = 10 for everybody, everywhere."""

    def forward(self, state):
        return torch.full((*state.shape[:-1], 1), 10.0)


@pytest.mark.parametrize("shifted", [True, False])
def test_the_dead_have_no_future(shifted):
    """Agent 1 dies in step 1 of four: there its advantage is r − V = 2 − 10 = −8, and nothing comes after.

    Agent 0 lives: 2 + 0.5 · 10 − 10 = −3 in every step (λ = 0). In step 0 agent 1 has −3 too.
    """
    mask = torch.ones(1, 4, N, dtype=torch.bool)
    mask[:, 2:, 1] = False
    ends = torch.zeros(1, 4, 1, dtype=torch.bool)
    later = {"agents": {"state": torch.zeros(1, 4, N, D), "reward": torch.full((1, 4, N, 1), 2.0)}}
    later["agents"]["mask"] = torch.cat([mask[:, 1:], mask[:, -1:]], 1)
    later["agents"]["reward"][:, 2:, 1] = 0.0
    td = TensorDict(
        {"agents": {"state": torch.zeros(1, 4, N, D), "mask": mask}, "next": later}, [1, 4]
    )
    td["next", "done"], td["next", "terminated"] = ends, ends.clone()
    critic = TensorDictModule(
        Tens(), in_keys=[("agents", "state")], out_keys=[("agents", "state_value")]
    )
    inner = MultiAgentGAE(gamma=0.5, lmbda=0.0, value_network=None)
    estimate = ILVFAdvantage(inner, critic, torch.eye(N), normalize="none", shifted=shifted)
    own = estimate(td)["agents", "advantage"][0, :, :, 0]
    assert own[:, 0].tolist() == [-3.0] * 4
    assert own[:, 1].tolist() == [-3.0, -8.0, 0.0, 0.0]


def test_the_loss_is_that_of_the_living():
    """As if the dead agent's row did not exist in the sums; and its networks get no gradient from it."""
    actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
    loss = ILVFLoss(actor, InfluenceCritic(N, D, A, hidden=8), entropy=0.5)
    rows = 6
    state = torch.randn(rows, N, D)
    with torch.no_grad():
        td = actor(TensorDict({"agents": {"observation": state, "state": state}}, [rows]))
    for key in ("advantage", "value_target", "normalised_value", "state_value"):
        td["agents", key] = torch.randn(rows, N, 1)
    torch.manual_seed(0)  # Q is random
    whole = loss(td)
    alive = torch.ones(rows, N, dtype=torch.bool)
    td["agents", "mask"] = alive
    torch.manual_seed(0)
    assert all(torch.equal(v, whole[k]) for k, v in loss(td).items())
    alive[:, 2] = False
    td["agents", "advantage"][:, 2] = td["agents", "value_target"][:, 2] = 1e6
    terms = loss(td)
    sum(v for k, v in terms.items() if k.startswith("loss_")).backward()
    assert terms["loss_objective"].abs() < 100
    assert terms["loss_value"] < 1e4
    for net in (actor.net.head, loss.critic.action_value.head):
        assert net.weight.grad[:2].abs().sum(dim=(1, 2)).min() > 0
        assert not net.weight.grad[2].any()


def test_a_value_norm_of_the_living():
    """Agent 0 is seen with 1 and 3 (its third row is dead): mean 2, variance 1; of agent 1 nothing is ever seen."""
    x = torch.tensor([[[1.0], [7.0]], [[3.0], [7.0]], [[1e6], [7.0]]])
    mask = torch.tensor([[True, False], [True, False], [False, False]]).unsqueeze(-1)
    norm = ValueNorm((2, 1))
    norm.update(x, mask)
    mean, std = norm.moments()
    assert mean.flatten().tolist() == pytest.approx([2.0, 0.0])
    assert std[0].item() == pytest.approx(1.0)
    norm.update(x, torch.ones_like(mask))
    norm.update(x, mask)
    assert norm.moments()[0][1].item() == pytest.approx(
        7.0
    )  # 7s are all that was ever seen of agent 1


def test_maddpgs_target_of_the_dead_is_their_last_reward():
    actor = CategoricalActor(N, D, A, hidden=8)
    loss = MADDPGLoss(actor, JointCritic(N, D, A, hidden=8), gamma=0.9, normalize_values=False)
    rows, state = 4, torch.randn(4, N, D)
    for p in loss.target_critic.parameters():
        p.data.fill_(0.0)
    loss.target_critic.net.head.bias.data.fill_(10.0)
    later = {"observation": state, "state": state, "reward": torch.ones(rows, N, 1)}
    later["mask"] = torch.tensor([True, False, True]).expand(rows, N)
    now = {"observation": state, "state": state, "action": torch.zeros(rows, N, dtype=torch.long)}
    td = TensorDict(
        {"agents": now, "next": {"agents": later, "terminated": torch.zeros(rows, 1).bool()}},
        [rows],
    )
    assert loss.target(td)[0].flatten().tolist() == [10.0, 1.0, 10.0]


def test_coma_goes_on_with_the_living():
    """Agent 1 is dead after the first of two steps: its target leans on the others' values.

    Q̄ of the living is 10, of the dead one 1000. γ = 0.5, λ = 0: target = 3 rewards of 1 + 0.5 · 10 = 8 for everybody.
    """
    from ilvf.credit.estimators import CounterfactualAdvantage
    from ilvf.modules import CounterfactualCritic

    critic = CounterfactualCritic(N, D, A, hidden=8)
    for p in critic.parameters():
        p.data.zero_()
    critic.rest.head.bias.data.copy_(
        torch.tensor([10.0, 1000.0, 10.0]).view(N, 1, 1).expand(N, 1, A)
    )
    actor = CategoricalActor(N, D, A, hidden=8)
    state = torch.randn(1, 2, N, D)
    mask = torch.tensor([[[True, True, True], [True, False, True]]])
    later = {"observation": state, "state": state, "reward": torch.ones(1, 2, N, 1)}
    later["mask"] = torch.tensor([True, False, True]).expand(1, 2, N)
    td = TensorDict(
        {"agents": {"observation": state, "state": state, "mask": mask}, "next": {"agents": later}},
        [1, 2],
    )
    with torch.no_grad():
        actor(td)
    td["next", "done"] = td["next", "terminated"] = torch.zeros(1, 2, 1, dtype=torch.bool)
    CounterfactualAdvantage(actor, critic, None, gamma=0.5, lmbda=0.0, normalize="none")(td)
    assert td["agents", "value_target"].flatten().tolist() == pytest.approx([8.0] * 6)
    assert not td["agents", "advantage"][0, 1, 1].any()
