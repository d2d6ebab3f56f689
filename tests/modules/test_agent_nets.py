"""N networks as batched matrix products: against loops of plain torch layers."""

import pytest
import torch
from torch import nn

from ilvf.modules import AgentLinear, AgentMLP, CategoricalActor

N = 5  # agents
D = 6  # numbers of a state
A = 4  # actions
B = 7  # rows
H = 16  # hidden units


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def as_plain_layers(net, i):
    """Agent i's network as ordinary layers, with the same parameters."""
    layers = []
    for layer in [net.first, *net.middle, net.head]:
        linear = nn.Linear(*layer.weight.shape[1:])
        matrix = layer.weight[i] if len(layer.weight) > 1 else layer.weight[0]
        linear.weight.data = matrix.T.detach().clone()
        linear.bias.data = layer.bias[i, 0].detach().clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# ---------------------------------------------------------------------- layers
@pytest.mark.parametrize("share", [False, True])
def test_an_agent_mlp_equals_a_loop_over_agents(share):
    net = AgentMLP(N, D, 3, hidden=H, depth=2, share=share)
    for p in net.parameters():
        p.data.normal_()
    x = torch.randn(N, B, D)
    own_rows = torch.stack([as_plain_layers(net, i)(x[i]) for i in range(N)])
    assert torch.allclose(net(x), own_rows, atol=1e-4)
    same_rows = torch.stack([as_plain_layers(net, i)(x[0]) for i in range(N)])
    assert torch.allclose(net(x[0]), same_rows, atol=1e-4)


def test_the_first_layer_can_be_computed_by_the_caller():
    net = AgentMLP(N, D, 3, hidden=H)
    x = torch.randn(N, B, D)
    assert torch.equal(net.after_first(net.first(x)), net(x))
    assert AgentMLP(N, D, 3, hidden=H, first=False).first is None


def test_a_shared_layer_has_one_matrix_and_a_bias_per_agent():
    shared = AgentLinear(N, D, H, share=True)
    assert shared.weight.shape == (1, D, H)
    assert AgentLinear(N, D, H).weight.shape == (N, D, H)
    shared.bias.data.normal_()
    y = shared(torch.randn(B, D))
    difference = (shared.bias[1] - shared.bias[0]).expand(B, H)
    assert torch.allclose(y[1] - y[0], difference, atol=1e-5)


@pytest.mark.parametrize("share", [False, True])
def test_products_of_a_layer_equal_sums_over_agents(share):
    layer = AgentLinear(N, D, H, share=share)
    layer.bias.data.normal_()
    x = torch.randn(N, B, D)
    y = torch.randn(N, B, H)
    joint = x.transpose(0, 1).flatten(1)
    assert torch.allclose(layer.total(joint), layer(x).sum(0), atol=1e-4)
    assert torch.allclose(layer.add_to(y, x), y + layer(x) - layer.bias, atol=1e-5)


def test_initial_matrices_are_orthogonal_with_their_gain():
    matrix = AgentLinear(N, H, H).weight[2]
    assert torch.allclose(matrix.T @ matrix, 2 * torch.eye(H), atol=1e-4)  # gain √2
    head = CategoricalActor(N, D, A, hidden=H, gain=0.01).net.head.weight[1]
    assert torch.allclose(head.T @ head, 1e-4 * torch.eye(A), atol=1e-7)
