"""The floor under an update: the matrix products it cannot do without, timed bare, one after the other."""

import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


def best_ms(run: Callable[[], object], repeats: int = 7, warmup: int = 2) -> float:
    """Fastest of `repeats` calls [ms]."""
    times = []
    for k in range(warmup + repeats):
        start = time.perf_counter()
        run()
        if k >= warmup:
            times.append(time.perf_counter() - start)
    return 1e3 * min(times)


@dataclass(frozen=True)
class Product:
    """`batch` products [rows × inner] · [inner × cols]; `joint`: the same left side for all, so one wide product."""

    batch: int
    rows: int
    inner: int
    cols: int
    joint: bool = False

    def ms(self) -> float:
        n, b, k, m = self.batch, self.rows, self.inner, self.cols
        if self.joint:
            return best_ms(functools.partial(torch.mm, torch.randn(b, k), torch.randn(k, n * m)))
        return best_ms(functools.partial(torch.bmm, torch.randn(n, b, k), torch.randn(n, k, m)))

    def training(self, needs_input_grad: bool) -> list["Product"]:
        """Forward, the weight's gradient and, if asked for, the input's."""
        n, b, k, m = self.batch, self.rows, self.inner, self.cols
        wide = self.joint
        parts = [self, Product(1, k, b, n * m) if wide else Product(n, k, b, m)]
        return [*parts, Product(n, b, m, k)] if needs_input_grad else parts


def mlp(
    n: int, b: int, sizes: list[int], joint: bool = False, first_grad: bool = False
) -> list[Product]:
    """All products of training N networks with these layer sizes."""
    layers = itertools.pairwise(sizes)
    return [
        p
        for k, (fan_in, fan_out) in enumerate(layers)
        for p in Product(n, b, fan_in, fan_out, joint and k == 0).training(k > 0 or first_grad)
    ]


def mappo_products(
    n: int, b: int, obs: int, state: int, actions: int, h: int = 64
) -> list[Product]:
    return mlp(n, b, [obs, h, h, actions]) + mlp(n, b, [n * state, h, h, 1], joint=True)


def ilvf_products(n: int, b: int, obs: int, state: int, actions: int, h: int = 64) -> list[Product]:
    """Actor; f_h; V with its weighted concatenation; Q with its weighted sum and joint action."""
    return (
        mlp(n, b, [obs, h, h, actions])
        + mlp(n, b, [n * state, h, n], joint=True)
        + mlp(n, b, [n * state, h, h, 1], first_grad=True)
        + [Product(b, n, n, state), Product(b, n, state, n)]  # Σ_j w_ij s_j and its gradient
        + mlp(n, b, [state, h, 1], first_grad=True)
        + Product(n, b, n * actions, h, joint=True).training(False)
    )


def bound_ms(products: list[Product]) -> float:
    """Total time of all products, each distinct one measured once."""
    cost = {p: p.ms() for p in set(products)}
    return sum(cost[p] for p in products)
