"""What agents can do: `Choices`, one action out of several, or a `Box` of continuous actions.

Environments, actors, critics and the audit read the same two classes. To a network the action of an
agent is always a vector of A numbers: one-hot, or scaled to the bounds of its box.
"""

from abc import abstractmethod
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchrl.data import Bounded, Categorical
from torchrl.data.tensor_specs import TensorSpec
from torchrl.envs import EnvBase

from ilvf.errors import UsageError, require
from ilvf.modules.checks import require_floats, require_mask, require_tensor
from ilvf.options import shown
from ilvf.options.arguments import found_words, require_kind, require_names, require_sizes


class Actions(nn.Module):
    """Base of `Choices` and `Box`. It has no parameters and no entries in a state dict.

    Attributes:
        width: A, numbers of the vector that stands for an agent's action.
        event: shape of an agent's action, `()` or `(A,)`.
        arguments: what a checkpoint keeps, plain values.
    """

    width: int
    event: tuple[int, ...]
    arguments: dict[str, Any]

    @abstractmethod
    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        """The vectors that networks read, `[*B, N, A]`.

        Args:
            action: `[*B, N]` of `Choices`, `[*B, N, A]` of a `Box`.
            state: `[*B, N, D]`; its shape and dtype are used.

        Raises:
            UsageError: another shape or kind of numbers, or an index that is not below A. (A GPU
                reports that later, by an assertion.)
        """

    @abstractmethod
    def random(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """Uniformly random actions.

        Args:
            observation: `[*B, N, Do]`; its shape and device are used.
            mask: bool `[*B, N, A]`, False for impossible actions; None if all are possible.
        """

    @abstractmethod
    def spec(self, team: tuple[int, int], device: torch.device) -> TensorSpec:
        """The TorchRL spec of a batch of teams (B, N)."""

    @abstractmethod
    def problem(self, action: Tensor, owner: str) -> str:
        """What is wrong with the values of actions `[*B, N]` or `[*B, N, A]`; empty if nothing is.

        Args:
            owner: whose actions these should be, for the message.
        """


class Choices(Actions):
    """One of `number` actions per agent; an action is an index, its vector is one-hot."""

    def __init__(self, number: int):
        super().__init__()
        require_sizes("Choices", number=number)
        self.width = int(number)
        self.event = ()
        self.arguments = {"n_actions": self.width}

    def __str__(self) -> str:
        return f"{self.width} actions"

    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        """See `Actions.encode`; vectors `[*B, N, A]` are accepted as they are."""
        require_tensor("the action", action)
        require_tensor("the state", state)
        agents = tuple(state.shape[:-1])
        found = tuple(action.shape)
        if found == (*agents, self.width):
            return action.to(state.dtype)
        require(
            found == agents and not action.is_floating_point(),
            f"the action has shape {found} and dtype {action.dtype}; the critic needs indices "
            f"{agents}, or {(*agents, self.width)} where an agent's action has {self.width} "
            "numbers",
        )
        try:
            return F.one_hot(action.long(), self.width).to(state.dtype)
        except RuntimeError:
            self.require_indices(action)
            raise

    def random(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        require_tensor("the observation", observation)
        shape = observation.shape[:-1]
        if mask is None:
            return torch.randint(self.width, shape, device=observation.device)
        require_mask(mask, (*shape, self.width))
        noise = torch.rand(mask.shape, device=observation.device)
        return noise.masked_fill(~mask, -1).argmax(-1)

    def spec(self, team: tuple[int, int], device: torch.device) -> TensorSpec:
        return Categorical(self.width, team, device=device, dtype=torch.int64)

    def problem(self, action: Tensor, owner: str) -> str:
        low, high = (int(x) for x in action.aminmax())
        if low >= 0 and high < self.width:
            return ""
        wrong = low if low < 0 else high
        return f"action {wrong} is out of range; {owner} has 0 to {self.width - 1}"

    def require_indices(self, action: Tensor) -> None:
        """Raise unless all actions exist; reads the device."""
        problem = self.problem(action, "the network")
        require(not problem, f"{problem}: is its number of actions that of the environment?")


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
        found = tuple(observation.shape)
        require(
            found[-2:-1] == (self.n_agents,),
            f"the observation has shape {found}; the Box has bounds of {self.n_agents} agents, "
            f"need [..., {self.n_agents}, Do]",
        )
        shape = (*found[:-1], self.width)
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


# ---------------------------------------------------------------------- from numbers and specs
def choices_of(number: int, of: str, name: str = "n_actions", others: str = "") -> Choices:
    """`Choices` of the argument of a network.

    Args:
        number: A.
        of, name: the class of the network and the argument, for messages.
        others: what else the argument can be, in words.

    Raises:
        UsageError: no whole number of at least 1.
    """
    is_whole = isinstance(number, Integral) and not isinstance(number, bool)
    require(
        is_whole and int(number) >= 1,
        f"{of}: {name} must be a number of discrete actions, at least 1{others}, "
        f"found {found_words(number)}",
    )
    return Choices(number)


def as_actions(actions: int | Actions, of: str, n_agents: int | None = None) -> Actions:
    """`Choices` of a number; a `Box` or `Choices` as it is.

    Args:
        actions: the argument `actions` of a network.
        of: the class of the network, for messages.
        n_agents: N of the network; None if it serves any number of agents.

    Raises:
        UsageError: neither a whole number of at least 1 nor actions, or a `Box` for another N.
    """
    if not isinstance(actions, Actions):
        return choices_of(actions, of, "actions", ", or a Box")
    if isinstance(actions, Box):
        require(
            n_agents in (None, actions.n_agents),
            f"{of}: n_agents={n_agents}, but the Box has bounds of {actions.n_agents} agents",
        )
    return actions


def entries_of(values: Tensor, action: Tensor) -> Tensor:
    """The entries of `values` `[*B, N, A]` at the actions `[*B, N]`: `[*B, N, 1]`.

    Raises:
        UsageError: actions of another shape or type, or an index that is not below A.
    """
    require_tensor("the action", action)
    found = tuple(action.shape)
    agents = tuple(values.shape[:-1])
    require(
        found == agents and not action.is_floating_point(),
        f"the action has shape {found} and dtype {action.dtype}; "
        f"need indices {agents}, one for each agent",
    )
    try:
        return values.gather(-1, action.long().unsqueeze(-1))
    except RuntimeError:
        Choices(values.shape[-1]).require_indices(action)
        raise


def actions_of(env: EnvBase, group: str = "agents") -> Actions:
    """The actions of an environment's agents.

    Raises:
        UsageError: no environment, no such group, or see `actions_of_spec`.
    """
    require_kind("actions_of", "env", env, EnvBase, "a TorchRL environment")
    require_names("actions_of", group=group)
    key = (group, "action")
    known = env.full_action_spec.keys(True, True)
    require(key in known, f"the environment has no actions {key}; it has {list(known)}")
    return actions_of_spec(env.full_action_spec[key], group)


def actions_of_spec(spec: TensorSpec, group: str = "agents") -> Actions:
    """The actions that a TorchRL spec describes.

    Args:
        spec: `Categorical` `[B, N]`, or `Bounded` `[B, N, A]`.
        group: name of the agents' group, for messages.

    Raises:
        UsageError: another spec or shape, bounds that are not finite, or differ between the
            environments of the batch.
    """
    key = (group, "action")
    kind = type(spec).__name__
    shape = tuple(spec.shape)
    if isinstance(spec, Categorical):
        require(
            len(shape) == 2, f"{key} has shape {shape}, need (num_envs, N): one index per agent"
        )
        return Choices(int(spec.space.n))
    require(
        isinstance(spec, Bounded) and spec.dtype == torch.get_default_dtype(),
        f"{key} is {kind} of {spec.dtype}, need Categorical: indices of discrete actions, int64; "
        f"or Bounded: continuous actions between finite bounds, {torch.get_default_dtype()}",
    )
    require(len(shape) == 3, f"{key} has shape {shape}, need (num_envs, N, A): A numbers per agent")
    low, high = spec.space.low, spec.space.high
    same = bool((low == low[:1]).all() and (high == high[:1]).all())
    require(same, f"{key} has other bounds in some environments of the batch; need the same in all")
    return Box(low[0].cpu(), high[0].cpu())
