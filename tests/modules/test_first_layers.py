"""First layers of the critics with attention: against the equations written out."""

import pytest
import torch
from torch.nn import functional as F

from ilvf.modules import InfluenceCritic, OwnFirst, SharedFirst
from ilvf.modules.agent_nets import joint_action
from ilvf.modules.critics.influence import normalized_concat
from ilvf.modules.options import NetworkOptions

N = 5  # agents
D = 6  # numbers of a state
A = 4  # actions
B = 7  # rows
H = 16  # hidden units
SMALL = NetworkOptions(hidden=H)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_normalized_concat_is_layer_norm_of_the_weighted_states():
    state = torch.randn(B, N, D)
    weight = torch.rand(B, N, N)
    found = normalized_concat(state, weight)
    for i in range(N):
        weighted = weight[:, i, :, None] * state  # w_ij s_j
        by_feature = weighted.transpose(1, 2).flatten(1)
        assert torch.allclose(found[i].T, F.layer_norm(by_feature, (N * D,)), atol=1e-5)


def test_normalized_concat_of_zeros_has_finite_gradients():
    weight = torch.rand(2, N, N, requires_grad=True)
    normalized_concat(torch.zeros(2, N, D), weight).sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_large_teams_are_computed_in_pieces_with_the_same_result(monkeypatch):
    first = OwnFirst(N, D, A, SMALL)
    state = torch.randn(B, N, D)
    weight = torch.rand(B, N, N)
    whole = first.value(state, weight)
    two_rows = 2 * N * N * D
    monkeypatch.setattr("ilvf.modules.critics.influence.CHUNK", two_rows)
    assert torch.allclose(first.value(state, weight), whole, atol=1e-6)


def test_v_reads_every_state_through_its_own_weight():
    """With w_13 = 0 the state of agent 3 does not change V_1; with w_i3 = 1 it changes V_i."""
    critic = InfluenceCritic(N, D, A, hidden=H)
    state = torch.randn(1, N, D)
    moved = state.clone()
    moved[:, 3] += 1.0
    weight = torch.ones(1, N, N)
    weight[0, 1, 3] = 0.0
    difference = critic.first.value(moved, weight) - critic.first.value(state, weight)
    change = difference.abs().amax((1, 2))
    assert change[1] < 1e-5
    assert (change[[0, 2, 3, 4]] > 1e-3).all()


def test_q_reads_a_weighted_sum_of_states_and_the_joint_action():
    first = OwnFirst(N, D, A, SMALL)
    state = torch.randn(B, N, D)
    weight = torch.rand(B, N, N)
    action = torch.randint(A, (B, N))
    found = first.action_value(state, weight, joint_action(action, state, A))
    acted = F.one_hot(action, A).flatten(1).float()
    for i in range(N):
        total = sum(weight[:, i, j, None] * state[:, j] for j in range(N))
        expected = F.layer_norm(total, (D,)) @ first.of_sum.weight[i]
        expected = expected + acted @ first.of_action.weight[i] + first.of_action.bias[i]
        assert torch.allclose(found[i], expected, atol=1e-5)


def test_without_layer_norm_v_reads_the_weighted_states_as_they_are():
    """V_i's first layer on concat_j w_ij s_j, written out."""
    first = OwnFirst(N, D, A, NetworkOptions(hidden=H, input_norm="none"))
    state = torch.randn(B, N, D)
    weight = torch.rand(B, N, N)
    found = first.value(state, weight)
    for i in range(N):
        weighted = weight[:, i, :, None] * state
        by_feature = weighted.transpose(1, 2).flatten(1)
        expected = by_feature @ first.of_value.weight[i] + first.of_value.bias[i]
        assert torch.allclose(found[i], expected, atol=1e-5)


class TestSharedFirstEqualsTheUnfactorisedForm:
    """The same matrices, written out for every critic: Σ_j w_ij (A_j LN(s_j) + b_j), and so on."""

    @pytest.fixture
    def first(self):
        first = SharedFirst(N, D, A, SMALL)
        for p in first.parameters():
            p.data.normal_()
        return first

    def mapped(self, layer, x):
        """A_j x_j + b_j of every source agent: x `[B, N, F]` → `[B, N, H]`."""
        y = torch.einsum("bjf,jfh->bjh", x, layer.weight)
        return y if layer.bias is None else y + layer.bias[:, 0]

    def test_v(self, first):
        state = torch.randn(B, N, D)
        weight = torch.rand(B, N, N)
        mapped = self.mapped(first.of_value, F.layer_norm(state, (D,)))
        expected = torch.einsum("bij,bjh->ibh", weight, mapped)
        assert torch.allclose(first.value(first.prepare(state), weight), expected, atol=1e-4)

    def test_q(self, first):
        state = torch.randn(B, N, D)
        weight = torch.rand(B, N, N)
        action = torch.randint(A, (B, N))
        mapped = self.mapped(first.of_sum, F.layer_norm(state, (D,)))
        acted = self.mapped(first.of_action, F.one_hot(action, A).float()).sum(1)
        expected = torch.einsum("bij,bjh->ibh", weight, mapped) + acted
        joint = joint_action(action, state, A)
        found = first.action_value(first.prepare(state), weight, joint)
        assert torch.allclose(found, expected, atol=1e-4)

    def test_logits(self, first):
        state = torch.randn(B, N, D)
        expected = self.mapped(first.of_logits, F.layer_norm(state, (D,))).sum(1)
        assert torch.allclose(first.logits(first.prepare(state)), expected, atol=1e-4)
