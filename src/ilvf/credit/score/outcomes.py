"""What an agent's action may move: ranks of changes in the rewards."""

import torch
from torch import Tensor

WINDOWS = (1, 4, 16, 64)  # steps over which changes of the reward are summed


def outcome_ranks(reward: Tensor, done: Tensor, alive: Tensor | None = None) -> Tensor:
    """The signals x of the score test, as centred ranks over the rollout.

        x^m_t = rank of  Σ_{k<m} (r_{t+k} − r_{t−1}),   m = 1, 4, 16, 64

    Sums end with the episode or the rollout. The change since the last step has less of the state's
    share of the variance than the reward itself. Ranks are robust to rare large rewards. In the
    first step of an episode or of the rollout, r_{t−1} is unknown and x is 0.

    Advantages are no signal. A critic's V_j can depend on s_i where the return of agent j does not;
    GAE with λ < 1 then depends on a_i, and the test would find the critic's mistake.

    Args:
        reward, done: `[E, T, N]` each.
        alive: bool `[E, T, N]`; x is 0 for dead agents (False).

    Returns:
        `[E, T, S·N]`, in [−½, ½], S = 4 signals.
    """
    inside = ~first_steps(done)
    if alive is not None:
        inside = inside & alive
    values = torch.cat(changes(reward, done), -1).flatten(0, 1).T  # [S·N, E·T]
    counted = inside.repeat(1, 1, len(WINDOWS)).flatten(0, 1).T
    return centred_ranks(values.contiguous(), counted).T.unflatten(0, reward.shape[:2])


def first_steps(done: Tensor) -> Tensor:
    """bool `[E, T, N]`: the first steps of episodes, and of the rollout."""
    first = done.roll(1, 1)
    first[:, 0].fill_(True)
    return first


def changes(reward: Tensor, done: Tensor) -> list[Tensor]:
    """Σ_{k<m} (r_{t+k} − r_{t−1}) for every m of `WINDOWS`, `[E, T, N]` each."""
    steps = reward.shape[1]
    before = reward.roll(1, 1)
    running = torch.ones_like(done)  # the episode of step t has not ended by step t + k
    total = torch.zeros_like(reward)
    found = []
    for k in range(max(WINDOWS)):
        if k < steps:
            ahead = steps - k
            change = (reward[:, k:] - before[:, :ahead]) * running[:, :ahead]
            total[:, :ahead] += change
            running[:, :ahead] &= ~done[:, k:]
        if k + 1 in WINDOWS:
            found.append(total.clone())
    return found


def centred_ranks(value: Tensor, valid: Tensor) -> Tensor:
    """Mean ranks of each row's valid entries, centred, divided by their number.

    Equal values get the mean of their ranks. The rank of an invalid entry is 0.

    Args:
        value: `[C, K]`, finite.
        valid: bool `[C, K]`.
    """
    places = torch.arange(value.shape[-1], device=value.device).expand_as(value)
    last_place = places.shape[-1] - 1
    in_order, order = value.masked_fill(~valid, torch.inf).sort(-1)
    differs = in_order[:, 1:] != in_order[:, :-1]
    edge = differs.new_ones(len(value), 1)
    starts = torch.cat([edge, differs], -1)
    ends = torch.cat([differs, edge], -1)
    low = places.where(starts, 0).cummax(-1).values
    high = places.where(ends, last_place).flip(-1).cummin(-1).values.flip(-1)
    rank = torch.empty_like(value).scatter(-1, order, (low + high).to(value.dtype) / 2)
    count = valid.sum(-1, keepdim=True).to(value.dtype)
    centred = (rank - (count - 1) / 2) / count.clamp_min(1)
    return centred.masked_fill(~valid, 0)
