"""A rollout as the score test reads it: scores, features, signals and advantages in units."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.credit.options import ScoreOptions
from ilvf.credit.score.outcomes import outcome_ranks
from ilvf.credit.score.policies import joined, policy_scores, with_one
from ilvf.credit.score.statistics import blocks_of, cut_in_time, merged
from ilvf.credit.sources import AgentSignals
from ilvf.distributed import gather_over_ranks
from ilvf.errors import require

FEATURES = 32  # width of the test's features; wider ones are projected


@dataclass(frozen=True)
class Prepared:
    """A rollout as the test reads it.

    Attributes:
        score: `[E, L, N, P]`.
        hidden: `[E, L, N, H]`.
        features: φ `[E, L, N, F]`.
        outcome: x `[E, L, S·N]`.
        gain: centred advantages, and their sum over the agents, `[E, L, N + 1]`.
        neighbours: numbers of the agents whose returns are told apart `[N, K]`; None for all.
    """

    score: Tensor
    hidden: Tensor
    features: Tensor
    outcome: Tensor
    gain: Tensor
    neighbours: Tensor | None = None

    def test_score(self, agent: int) -> Tensor:
        """s_i ⊗ φ_i `[E, L, P·F]`."""
        return outer(self.score[:, :, agent], self.features[:, :, agent])

    def outcome_for(self, agent: int) -> Tensor:
        """The signals that are tested for an acting agent, `[E, L, S·N]` or `[E, L, S·K]`."""
        if self.neighbours is None:
            return self.outcome
        by_agent = self.outcome.unflatten(-1, (-1, self.score.shape[2]))
        return by_agent[..., self.neighbours[agent]].flatten(-2)

    def gain_for(self, agent: int) -> Tensor:
        """The advantages that are told apart for an acting agent, and their sum.

        Of neighbours `[E, L, K + 2]`: each of them, the sum of all others, the sum of all.
        """
        if self.neighbours is None:
            return self.gain
        near = self.gain[..., self.neighbours[agent]]
        total = self.gain[..., -1:]
        others = total - near.sum(-1, keepdim=True)
        return torch.cat([near, others, total], -1)

    def gradient_parts(self, agent: int) -> Tensor:
        """Σ_t s_i ⊗ h_i A_j of every unit, then that of Σ_j A_j, `[E, C + 1, P·H]`.

        C = N, or K + 1 with neighbours, the last of which is the sum of all others.
        """
        gain = self.gain_for(agent)
        weighted = outer(gain, self.score[:, :, agent])  # [E, L, (C + 1)·P]
        parts = torch.bmm(weighted.mT, self.hidden[:, :, agent])
        return parts.view(len(parts), gain.shape[-1], -1)


def prepare(
    actors: Sequence[Any],
    rollout: TensorDictBase,
    signals: AgentSignals,
    options: ScoreOptions,
    neighbours: Tensor | None = None,
) -> Prepared:
    """What the test reads of the rollouts of all processes, cut into units.

    Args:
        actors: of every group.
        rollout: `[*B, T]`.
        signals: what every agent received, and its advantages.
        options: number of units, fewest steps of a block.
        neighbours: see `Prepared`.
    """
    groups = [policy_scores(actor, rollout) for actor in actors]
    require_sizes([group.score.shape[-2] for group in groups], signals)
    scores = joined(groups)
    parts = [*scores.tensors(), signals.reward, signals.done, signals.advantage]
    if signals.alive is not None:
        parts.append(signals.alive)
    parts = [gather_over_ranks(envs_and_steps(part, signals.time)) for part in parts]
    score, hidden, observation, *received = parts
    reward, done, advantage, *alive = (part.squeeze(-1) for part in received)
    lives = alive[0] if alive else None
    if lives is not None:  # what a dead agent observes can be anything, also NaN
        dead = ~lives.unsqueeze(-1)
        score = score.masked_fill(dead, 0)
        hidden = hidden.masked_fill(dead, 0)
        observation = observation.masked_fill(dead, 0)
    outcome = outcome_ranks(reward, done, lives)
    gain = scaled_advantage(advantage, lives)
    gain = torch.cat([gain, gain.sum(-1, keepdim=True)], -1)
    features = with_one(projected(observation))
    blocks = blocks_of(score.shape[0], score.shape[1], options.units, options.block)
    units = []
    for part in (score, hidden, features, outcome, gain):
        units.append(merged(cut_in_time(part.float(), blocks), options.units))
    score, hidden, features, outcome, gain = units
    return Prepared(score, hidden, features, outcome, gain, neighbours)


def require_sizes(found: list[int], signals: AgentSignals) -> None:
    """Raise unless there is an actor for each group, with its number of agents."""
    wanted = list(signals.sizes) if signals.sizes else [signals.advantage.shape[-2]]
    require(
        found == wanted,
        f"ScoreInfluence has actors for groups of {found} agents, the advantage has groups of "
        f"{wanted}; give one actor for each group, in the order of group=",
    )


def projected(observation: Tensor) -> Tensor:
    """Observations of more than 31 numbers, by a fixed random matrix to 31."""
    width = observation.shape[-1]
    if width < FEATURES:
        return observation
    return observation @ projection(width, observation.device).to(observation.dtype)


@functools.cache
def projection(width: int, device: torch.device) -> Tensor:
    """A random matrix `[width, 31]` that keeps lengths on average; the same in every process."""
    generator = torch.Generator().manual_seed(width)
    matrix = torch.randn(width, FEATURES - 1, generator=generator)
    return (matrix / width**0.5).to(device)


# ---------------------------------------------------------------------- shapes
def envs_and_steps(x: Tensor, time: int) -> Tensor:
    """`[*B, N, F]` with time at batch dimension `time` → `[E, T, N, F]`."""
    x = x.movedim(time, -3)
    return x.reshape(-1, *x.shape[-3:])


def outer(a: Tensor, b: Tensor) -> Tensor:
    """`[E, L, P]`, `[E, L, F]` → `[E, L, P·F]`."""
    return (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2)


def scaled_advantage(advantage: Tensor, alive: Tensor | None) -> Tensor:
    """Advantages `[E, T, N]` minus each agent's mean, in units of their root mean square."""
    lives = torch.ones_like(advantage) if alive is None else alive.to(advantage.dtype)
    count = lives.sum((0, 1)).clamp_min(1)
    centred = (advantage - (advantage * lives).sum((0, 1)) / count) * lives
    size = centred.square().mean().sqrt()
    return centred / size.clamp_min(torch.finfo(size.dtype).tiny)
