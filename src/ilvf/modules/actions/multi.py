"""`MultiChoices`: several choices at once per agent."""

from typing import Any

import torch
from torch import Tensor
from torchrl.data import MultiCategorical
from torchrl.data.tensor_specs import TensorSpec

from ilvf.errors import UsageError, require
from ilvf.modules.actions.base import Actions
from ilvf.modules.checks import require_mask, require_tensor
from ilvf.options import shown

MOST = 100_000  # choices of a component: each has a number in the vectors that networks read


class MultiChoices(Actions):
    """D choices at once: component d of agent i is one of n_id, counted from 0.

        A = Σ_d w_d,    w_d = max_i n_id

    The vector of an action is the one-hots of its components side by side, w_d numbers each. An
    agent with fewer choices than w_d cannot take the others. An agent with fewer components than
    the widest is padded with components that have a single choice, 0.

    Args:
        counts: n, whole numbers `[N, D]`, a tensor or nested lists.

    Attributes:
        counts: n, `[N, D]`.
        exists: bool `[N, D, W]` with W = max_d w_d, the choices that an agent has.

    Raises:
        UsageError: no table of whole numbers from 1 to 100 000.
    """

    counts: Tensor
    exists: Tensor
    column: Tensor
    place: Tensor

    def __init__(self, counts: Any):
        super().__init__()
        found = _as_counts(counts)
        self.n_agents, components = found.shape
        self.widths = found.amax(0).tolist()  # w_d
        self.width = sum(self.widths)
        self.event = (components,)
        self.arguments = {"counts": found.tolist()}
        choice = torch.arange(max(self.widths))  # of W
        width = torch.tensor(self.widths).unsqueeze(-1)
        begin = width.cumsum(0) - width  # of each component in the vector
        buffers = {
            "counts": found,
            "exists": choice < found.unsqueeze(-1),
            "column": begin + torch.minimum(choice, width - 1),  # in the vector, [D, W]
            "place": (choice < width).flatten().nonzero().squeeze(-1),  # in D·W, [A]
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def __str__(self) -> str:
        return f"actions of {len(self.widths)} choices at once"

    @property
    def existing(self) -> Tensor:
        """The choices that an agent has, in its vector: bool `[N, A]`."""
        return self.exists.flatten(-2)[..., self.place]

    def grid(self, vector: Tensor, missing: float) -> Tensor:
        """Numbers of all choices, by component: `[*B, N, A]` → `[*B, N, D, W]`.

        Args:
            missing: the number of choices that an agent does not have.
        """
        return vector[..., self.column].masked_fill(~self.exists, missing)

    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        """See `Actions.encode`."""
        require_tensor("the action", action)
        require_tensor("the state", state)
        need = (*state.shape[:-2], *self.counts.shape)
        require(
            tuple(action.shape) == need and not action.is_floating_point(),
            f"the action has shape {tuple(action.shape)} and dtype {action.dtype}; the critic "
            f"needs indices {need}, {self.event[0]} for each agent",
        )
        if action.device.type == "cpu" and not torch.compiler.is_compiling():
            self.require_indices(action)  # reading the values of a GPU would wait for it
        choice = torch.arange(self.exists.shape[-1], device=action.device)
        chosen = action.unsqueeze(-1) == choice  # [*B, N, D, W]
        return chosen.flatten(-2)[..., self.place].to(state.dtype)

    def random(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        require_tensor("the observation", observation)
        found = self.require_team(observation)
        noise = torch.rand(*found[:-1], self.width, device=observation.device)
        if mask is not None:
            require_mask(mask, tuple(noise.shape))
            noise = noise.masked_fill(~mask, -1)
        return self.grid(noise, -1).argmax(-1)

    def possible(self, mask: Tensor) -> Tensor:
        """See `Actions.possible`; every component needs a choice."""
        return (mask[..., self.column] & self.exists).any(-1).all(-1)

    def spec(self, team: tuple[int, int], device: torch.device) -> TensorSpec:
        shape = (*team, *self.event)
        counts = self.counts.to(device).expand(shape)
        return MultiCategorical(counts, shape, device=device, dtype=torch.int64)

    def problem(self, action: Tensor, owner: str) -> str:
        wrong = (action < 0) | (action >= self.counts)
        if not wrong.any():
            return ""
        *_, agent, component = wrong.nonzero()[0].tolist()
        most = int(self.counts[agent, component]) - 1
        return (
            f"choice {component} of agent {agent}'s action is {int(action[wrong][0])}; {owner} has "
            f"0 to {most}"
        )

    def require_indices(self, action: Tensor) -> None:
        """Raise unless all choices exist; reads the device."""
        problem = self.problem(action, "the network")
        require(not problem, f"{problem}: are its choices those of the environment?")


def _as_counts(counts: Any) -> Tensor:
    """Counts as a tensor of whole numbers `[N, D]`."""
    try:
        found = torch.as_tensor(counts)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UsageError(
            f"counts={shown(counts)} of MultiChoices is no table of numbers"
        ) from error
    whole = not found.is_floating_point() and not found.is_complex() and found.dtype != torch.bool
    require(
        whole and found.ndim == 2 and found.numel() > 0,
        f"counts has shape {tuple(found.shape)} and dtype {found.dtype}, need whole numbers "
        "(N, D): how many choices each component of each agent has",
    )
    low, high = (int(x) for x in found.aminmax())
    require(
        low >= 1 and high <= MOST,
        f"counts has {low if low < 1 else high} choices; a component has 1 to {MOST}",
    )
    return found.long().clone()
