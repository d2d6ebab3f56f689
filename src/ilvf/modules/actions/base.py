"""`Actions`: what agents can do, as environments, actors, critics and the audit read it."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchrl.data.tensor_specs import TensorSpec

from ilvf.errors import require


class Actions(nn.Module):
    """Base of `Choices`, `MultiChoices` and `Box`. Nothing of it is in a state dict.

    Attributes:
        width: A, numbers of the vector that stands for an agent's action.
        event: shape of an agent's action: `()`, `(D,)` or `(A,)`.
        arguments: what a checkpoint keeps, plain values.
        n_agents: N, where the agents differ; None for any number of equal agents.
        maskable: an action mask can say what is possible.
    """

    width: int
    event: tuple[int, ...]
    arguments: dict[str, Any]
    n_agents: int | None = None
    maskable: ClassVar[bool] = True

    @abstractmethod
    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        """The vectors that networks read, `[*B, N, A]`.

        Args:
            action: `[*B, N]` of `Choices`, `[*B, N, D]` of `MultiChoices`, `[*B, N, A]` of a `Box`.
            state: `[*B, N, S]`; its shape and dtype are used.

        Raises:
            UsageError: another shape or kind of numbers, or an index that does not exist. (A GPU
                reports that of `Choices` later, by an assertion, and that of `MultiChoices` not.)
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
        """What is wrong with the values of actions of the right shape; empty if nothing is.

        Args:
            owner: whose actions these should be, for the message.
        """

    def require_team(self, observation: Tensor) -> tuple[int, ...]:
        """Raise unless an observation `[*B, N, Do]` is of these agents; its shape."""
        found = tuple(observation.shape)
        require(
            found[-2:-1] == (self.n_agents,),
            f"the observation has shape {found}; the {type(self).__name__} has actions of "
            f"{self.n_agents} agents, need [..., {self.n_agents}, Do]",
        )
        return found

    def possible(self, mask: Tensor) -> Tensor:
        """Whether a mask `[*B, N, A]` leaves an agent an action, `[*B, N]`."""
        return mask.any(-1)
