"""Markov games given by tables: validation, indices of joint states and actions, the policy.

Axes: `G` games, `S` joint states and `A` joint actions (row-major products of the local ones), `N`
agents, `Amax` the largest number of actions of an agent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from ilvf.errors import require


def digits(sizes: Sequence[int]) -> Tensor:
    """Local indices of every joint index, `[prod(sizes), len(sizes)]` int64, row-major."""
    return torch.cartesian_prod(*(torch.arange(k) for k in sizes)).reshape(-1, len(sizes))


def place_values(sizes: Sequence[int]) -> Tensor:
    """Row-major weights `[len(sizes)]`: joint index = Σ_i local_i · place_i."""
    return torch.tensor([math.prod(sizes[i + 1 :]) for i in range(len(sizes))])


@dataclass(frozen=True, eq=False)
class Game:
    """`G` Markov games with N agents, per-agent rewards and a factorised softmax policy.

    Args:
        states: number of local states of each agent; S is their product.
        actions: number of actions of each agent; A is their product.
        transition: P(s' | s, a), `[G, S, A, S]` float64.
        reward: r_i(s, a), `[G, S, A, N]` float64.
        start: distribution of the first joint state, `[G, S]` float64.
        observation_graph: bool `[N, N]` or `[G, N, N]`, True at [i, j] where the policy of agent i
            sees s_j; the diagonal is True.
        logits: θ of the policy, `[G, N, S, Amax]` float64. Joint states that look the same to agent
            i share the row in which unseen local states are 0; other rows are not used, nor are
            columns from A_i on.
        gamma: discount, in [0, 1).

    Raises:
        UsageError: a table of another shape or dtype, with numbers that are not finite, or without
            probabilities; a graph without a True diagonal; a discount out of bounds.
    """

    states: tuple[int, ...]
    actions: tuple[int, ...]
    transition: Tensor
    reward: Tensor
    start: Tensor
    observation_graph: Tensor
    logits: Tensor
    gamma: float = 0.9

    def __post_init__(self) -> None:
        n = self.n_agents
        require(
            len(self.states) == n >= 1,
            f"states={self.states} and actions={self.actions} need one number per agent",
        )
        object.__setattr__(
            self, "observation_graph", self.observation_graph.expand(len(self), n, n)
        )
        self._require_tables()
        self._require_probabilities("transition")
        self._require_probabilities("start")
        seen = self.observation_graph
        require(
            seen.dtype == torch.bool and bool(seen.diagonal(dim1=1, dim2=2).all()),
            "observation_graph must be boolean with a True diagonal: "
            "every policy sees its own state",
        )
        require(
            0 <= self.gamma < 1, f"gamma={self.gamma} must be in [0, 1) for the values to exist"
        )

    def _require_tables(self) -> None:
        """Raise unless the tables have the right shapes and dtype and only finite numbers."""
        g = len(self)
        n = self.n_agents
        s = math.prod(self.states)
        a = math.prod(self.actions)
        shapes = {
            "transition": (g, s, a, s),
            "reward": (g, s, a, n),
            "start": (g, s),
            "logits": (g, n, s, max(self.actions)),
        }
        for name, shape in shapes.items():
            table = getattr(self, name)
            require(
                tuple(table.shape) == shape,
                f"{name} has shape {tuple(table.shape)}, these states and actions need {shape}",
            )
            require(
                table.dtype == torch.float64,
                f"{name} is {table.dtype}, exact games need torch.float64; call .double()",
            )
            require(
                bool(torch.isfinite(table).all()),
                f"{name} has entries that are NaN or infinite; all must be finite",
            )

    def _require_probabilities(self, name: str) -> None:
        table = getattr(self, name)
        smallest = table.min().item()
        error = (table.sum(-1) - 1).abs().max().item()
        require(
            smallest >= 0 and error < 1e-9,
            f"{name} holds no probabilities (smallest {smallest:.3g}, sums off by {error:.3g}); "
            "its last axis must be non-negative and sum to 1",
        )

    def __len__(self) -> int:
        """G."""
        return self.start.shape[0]

    def __getitem__(self, index: int | slice) -> Self:
        """One game, with a leading axis of 1, or a slice of them."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"there are {len(self)} games")
            index = slice(index, index + 1 or None)
        tables: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                tables[field.name] = value[index]
        return replace(self, **tables)

    @property
    def n_agents(self) -> int:
        """N."""
        return len(self.actions)

    # ------------------------------------------------------------------ indices
    @cached_property
    def local_states(self) -> Tensor:
        """s_i of every joint state, `[S, N]`."""
        return digits(self.states)

    @cached_property
    def local_actions(self) -> Tensor:
        """a_i of every joint action, `[A, N]`."""
        return digits(self.actions)

    @cached_property
    def observed_states(self) -> Tensor:
        """Joint state that agent i acts on in each joint state, `[G, N, S]`: unseen s_j are 0."""
        places = self.local_states * place_values(self.states)  # [S, N]
        return torch.einsum("gij,sj->gis", self.observation_graph.long(), places)

    # ------------------------------------------------------------------ policy
    def log_policy(self) -> Tensor:
        """log π_i(a_i | o_i(s)), `[G, N, S, Amax]`; −∞ where agent i has no such action."""
        row = self.observed_states.unsqueeze(-1).expand_as(self.logits)
        theta = self.logits.gather(2, row)
        action = torch.arange(theta.shape[-1])
        exists = action < torch.tensor(self.actions).unsqueeze(-1)  # [N, Amax]
        return theta.masked_fill(~exists.unsqueeze(1), -math.inf).log_softmax(-1)

    def policy(self) -> Tensor:
        """π_i(a_i | o_i(s)), `[G, N, S, Amax]`."""
        return self.log_policy().exp()

    def joint_policy(self, without: int | None = None) -> Tensor:
        """π(a | s) = Π_k π_k(a_k | o_k), `[G, S, A]`; `without=i` omits the factor of agent i."""
        pi = self.policy()
        factors = [torch.ones(len(self), *self.transition.shape[1:3], dtype=torch.float64)]
        for k in range(self.n_agents):
            if k != without:
                factors.append(pi[:, k, :, self.local_actions[:, k]])
        return torch.stack(factors).prod(0)
