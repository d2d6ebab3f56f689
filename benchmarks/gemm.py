"""The matrix products of an optimiser step, timed alone: a lower bound of the step's time."""

import functools
import itertools
from dataclasses import dataclass

import torch

from common import best_ms


@dataclass(frozen=True)
class Product:
    """`batch` products [rows × inner] · [inner × cols].

    With `joint`, all of them have the same left side, so they are one product [rows × inner] ·
    [inner × batch·cols].
    """

    batch: int
    rows: int
    inner: int
    cols: int
    joint: bool = False

    def ms(self) -> float:
        """Milliseconds of the product, or of its transpose if that is faster."""
        if self.joint:
            left = torch.randn(self.rows, self.inner)
            right = torch.randn(self.inner, self.batch * self.cols)
            return best_ms(functools.partial(torch.mm, left, right))
        left = torch.randn(self.batch, self.rows, self.inner)
        right = torch.randn(self.batch, self.inner, self.cols)
        usual = best_ms(functools.partial(torch.bmm, left, right))
        return min(usual, best_ms(functools.partial(torch.bmm, right.mT, left.mT)))

    def training(self, needs_input_grad: bool) -> list["Product"]:
        """The forward product, the weight's gradient and, if needed, the input's gradient."""
        if self.joint:
            weight = Product(1, self.inner, self.rows, self.batch * self.cols)
        else:
            weight = Product(self.batch, self.inner, self.rows, self.cols)
        if not needs_input_grad:
            return [self, weight]
        return [self, weight, Product(self.batch, self.rows, self.cols, self.inner)]


def mlp(
    n: int, b: int, sizes: list[int], joint: bool = False, first_grad: bool = False
) -> list[Product]:
    """All products that train `n` networks with these layer sizes on `b` rows.

    Args:
        joint: all networks have the same input.
        first_grad: the gradient of the input is needed.
    """
    products = []
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        first = k == 0
        layer = Product(n, b, fan_in, fan_out, joint and first)
        products += layer.training(needs_input_grad=first_grad or not first)
    return products


def mappo_products(
    n: int, b: int, obs: int, state: int, actions: int, h: int = 64
) -> list[Product]:
    """The actor, and V of the joint state."""
    return mlp(n, b, [obs, h, h, actions]) + mlp(n, b, [n * state, h, h, 1], joint=True)


def ilvf_products(n: int, b: int, obs: int, state: int, actions: int, h: int = 64) -> list[Product]:
    """The actor; f_h; V of its weighted states; Q of its weighted sum and the joint action."""
    return [
        *mlp(n, b, [obs, h, h, actions]),
        *mlp(n, b, [n * state, h, n], joint=True),
        *mlp(n, b, [n * state, h, h, 1], first_grad=True),
        Product(b, n, n, state),  # Σ_j w_ij s_j
        Product(b, n, state, n),  # its gradient
        *mlp(n, b, [state, h, 1], first_grad=True),
        *Product(n, b, n * actions, h, joint=True).training(needs_input_grad=False),
    ]


def bound_ms(products: list[Product]) -> float:
    """Milliseconds of all products together; each distinct one is timed once."""
    cost = {product: product.ms() for product in set(products)}
    return sum(cost[product] for product in products)
