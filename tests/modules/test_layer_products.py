"""Products of layers in the layouts that are fast: values and gradients are those of x W + b."""

import pytest
import torch

from ilvf.modules import AgentLinear
from ilvf.modules.agent_nets import ColumnProduct, NarrowProduct

N = 3  # agents
B = 4  # rows
F = 5  # inputs
F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def layer(outputs, share=False):
    made = AgentLinear(N, F, outputs, share=share).double()
    torch.nn.init.normal_(made.bias)
    return made


def written_out(linear, x):
    """x_i W_i + b_i of rows `[N, B, F]`, agent by agent."""
    matrices = linear.weight.expand(N, -1, -1)
    return torch.stack([x[i] @ matrices[i] + linear.bias[i] for i in range(N)])


def with_gradients(y, x, linear):
    """y, and the gradients of a weighted sum of y."""
    scale = torch.linspace(-1, 2, y.numel(), dtype=F64).reshape(y.shape)
    return y, *torch.autograd.grad((scale * y).sum(), [x, *linear.parameters()])


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("outputs", [1, 2, 15, 16])
@pytest.mark.parametrize("same_rows", [False, True])
def test_a_layer_of_few_outputs(outputs, share, same_rows):
    linear = layer(outputs, share)
    x = torch.randn(*(() if same_rows else (N,)), B, F, dtype=F64, requires_grad=True)
    rows = x.expand(N, B, F)
    expected = with_gradients(written_out(linear, rows), x, linear)
    torch.testing.assert_close(with_gradients(linear(x), x, linear), expected)
    with torch.no_grad():
        torch.testing.assert_close(linear(x), expected[0])


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("outputs", [1, 20])
def test_a_layer_of_columns(outputs, share):
    linear = layer(outputs, share)
    x = torch.randn(N, F, B, dtype=F64, requires_grad=True)
    expected = with_gradients(written_out(linear, x.mT), x, linear)
    torch.testing.assert_close(with_gradients(linear.of_columns(x), x, linear), expected)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("columns", [False, True])
def test_gradients_of_gradients(columns, outputs):
    linear = layer(outputs)
    x = torch.randn(N, F, B, dtype=F64, requires_grad=True)

    def product(x):
        return linear.of_columns(x).tanh() if columns else linear(x.mT).tanh()

    assert torch.autograd.gradgradcheck(product, x)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("columns", [False, True])
def test_derivatives_forwards(columns, outputs):
    """Of x alone, and of x, W and b together."""
    linear = layer(outputs)
    product = ColumnProduct.apply if columns else NarrowProduct.apply
    x = torch.randn(N, *((F, B) if columns else (B, F)), dtype=F64)
    inputs = (x, linear.weight.detach(), linear.bias.detach())

    def written(x, weight, bias):
        return x.mT @ weight + bias if columns else (x @ weight + bias).mT

    for jacobian in (torch.func.jacfwd, torch.func.jacrev):
        for arguments in (0, (0, 1, 2)):
            found = jacobian(product, arguments)(*inputs)
            torch.testing.assert_close(found, torch.func.jacrev(written, arguments)(*inputs))


def test_no_rows():
    linear = layer(2)
    x = torch.randn(N, 0, F, dtype=F64, requires_grad=True)
    (linear(x).sum() + linear.of_columns(x.mT).sum()).backward()
    assert x.grad.shape == x.shape
    assert linear.weight.grad.abs().max() == 0


@pytest.mark.parametrize("columns", [False, True])
def test_under_vmap(columns):
    linear = layer(2)
    product = linear.of_columns if columns else linear
    x = torch.randn(6, N, *((F, B) if columns else (B, F)), dtype=F64)
    expected = torch.stack([product(each) for each in x])
    torch.testing.assert_close(torch.vmap(product)(x), expected)


def test_an_activation_may_write_over_the_result():
    linear = layer(2)
    x = torch.randn(N, B, F, dtype=F64)
    expected = torch.autograd.grad(linear(x).clamp(min=0).sum(), linear.weight)
    torch.testing.assert_close(
        torch.autograd.grad(linear(x).relu_().sum(), linear.weight), expected
    )


@pytest.mark.parametrize("columns", [False, True])
def test_under_autocast_products_are_in_16_bits(columns):
    linear = AgentLinear(N, F, 2)
    x = torch.randn(N, F, B) if columns else torch.randn(N, B, F)
    with torch.autocast("cpu", torch.bfloat16):
        y = linear.of_columns(x) if columns else linear(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert linear.weight.grad.dtype == torch.float32


def test_columns_of_another_precision_are_refused_in_words(refused):
    with refused("float64", "float32"):
        AgentLinear(N, F, 2).of_columns(torch.randn(N, F, B, dtype=F64))
