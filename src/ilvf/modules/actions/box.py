"""`Box`: continuous actions between bounds."""

from typing import Any

import torch
from torch import Tensor
from torchrl.data import Bounded
from torchrl.data.tensor_specs import TensorSpec

from ilvf.errors import UsageError, require
from ilvf.modules.actions.base import Actions
from ilvf.modules.checks import require_floats, require_tensor
from ilvf.options import shown


class Box(Actions):
    """Continuous actions: A numbers per agent, each between two bounds of its own.

        u = (a − m) / r,    m = (low + high) / 2,    r = (high − low) / 2

    Networks read and write u, which is in [−1, 1]. A component whose bounds are equal is fixed, and
    its u is 0: an agent with fewer components than the widest is padded with such components.

    Args:
        low, high: bounds `[N, A]`, a tensor or nested lists.

    Attributes:
        free: bool `[N, A]`, the components that are not fixed.

    Raises:
        UsageError: bounds of other shapes, that are not finite or cross, or no free component.
    """

    low: Tensor
    high: Tensor
    middle: Tensor
    radius: Tensor
    free: Tensor
    maskable = False

    def __init__(self, low: Any, high: Any):
        super().__init__()
        lowest = _as_bounds("low", low)
        highest = _as_bounds("high", high)
        require(
            lowest.shape == highest.shape,
            f"low has shape {tuple(lowest.shape)}, high {tuple(highest.shape)}; need the same",
        )
        radius = highest / 2 - lowest / 2
        require(bool((radius >= 0).all()), "a box has a lower bound above its upper bound")
        require(bool((radius > 0).any()), "a box has no component that is free to vary")
        buffers = {
            "low": lowest,
            "high": highest,
            "middle": lowest / 2 + highest / 2,
            "radius": radius,
            "free": radius > 0,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        self.n_agents, self.width = lowest.shape
        self.event = (self.width,)
        self.arguments = {"low": lowest.tolist(), "high": highest.tolist()}

    def __str__(self) -> str:
        return f"actions of {self.width} numbers"

    def normalize(self, action: Tensor) -> Tensor:
        """u of actions `[*B, N, A]`; 0 for fixed components."""
        scale = self.radius.where(self.free, 1)
        return ((action - self.middle) / scale).masked_fill(~self.free, 0)

    def denormalize(self, u: Tensor) -> Tensor:
        """Actions `[*B, N, A]` within their bounds; u beyond ±1 is clipped."""
        action = self.middle + self.radius * u
        return torch.minimum(torch.maximum(action, self.low), self.high)

    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        require_tensor("the action", action)
        require_tensor("the state", state)
        need = (*state.shape[:-2], self.n_agents, self.width)
        require(
            tuple(action.shape) == need and action.is_floating_point(),
            f"the action has shape {tuple(action.shape)} and dtype {action.dtype}; the critic "
            f"needs numbers {need}, between the bounds of its Box",
        )
        return self.normalize(action).to(state.dtype)

    def random(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        require_floats("the observation", observation)
        shape = (*self.require_team(observation)[:-1], self.width)
        unit = torch.rand(shape, dtype=self.low.dtype, device=observation.device)
        return self.denormalize(2 * unit - 1)

    def spec(self, team: tuple[int, int], device: torch.device) -> TensorSpec:
        shape = (*team, self.width)
        low, high = (bound.to(device).expand(shape) for bound in (self.low, self.high))
        return Bounded(low, high, shape=shape, device=device, dtype=self.low.dtype)

    def problem(self, action: Tensor, owner: str) -> str:
        outside = ~((self.low <= action) & (action <= self.high))  # NaN is outside too
        if not outside.any():
            return ""
        *_, agent, component = outside.nonzero()[0].tolist()
        wrong = action[outside][0].item()
        bounds = f"{self.low[agent, component]:g} to {self.high[agent, component]:g}"
        return f"number {component} of agent {agent}'s action is {wrong:g}; {owner} has {bounds}"


def _as_bounds(name: str, bounds: Any) -> Tensor:
    """Bounds as a finite float tensor `[N, A]`."""
    try:
        given = torch.as_tensor(bounds)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UsageError(f"{name}={shown(bounds)} of a Box is no table of numbers") from error
    require(not given.is_complex(), f"{name} of a Box has complex numbers, need real ones")
    found = given.to(torch.get_default_dtype())
    require(
        found.ndim == 2 and found.numel() > 0,
        f"{name} has shape {tuple(found.shape)}, need (N, A): one row of bounds an agent",
    )
    require(
        bool(torch.isfinite(found).all()),
        f"{name} has bounds that are not finite; give every component of an action finite bounds",
    )
    return found.clone()
