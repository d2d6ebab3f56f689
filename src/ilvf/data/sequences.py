"""What a replay buffer keeps of a rollout: its transitions, or sequences for recurrent networks."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey

from ilvf.data.replay import form_of
from ilvf.errors import require
from ilvf.modules.memory import ENDED

ADVICE = "resume from an older checkpoint, or begin a new run"


class Transitions:
    """Every step of a rollout `[B, T]` is a row of the buffer.

    Attributes:
        steps: transitions of a row.
        unit: what rows are, for messages.
    """

    steps = 1
    unit = "transitions"

    def cut(self, rollout: TensorDictBase) -> TensorDictBase:
        """The rows `[B · T]` of a rollout."""
        return rollout.reshape(-1)

    def whole(self, rows: TensorDictBase) -> TensorDictBase:
        """The minibatch `[C]` of sampled rows."""
        return rows

    def state(self) -> dict[str, Any]:
        """The part of a checkpoint that `restore` needs."""
        return {}

    def restore(self, state: Mapping[str, Any], device: torch.device, *, goes_on: bool) -> None:
        """Continue after the rollouts of a saved run.

        Args:
            state: with what `state()` returned.
            device: of the rollouts.
            goes_on: the environments are where they were.
        """


class Sequences(Transitions):
    """Every row is a chunk of L steps of an environment, and the b steps before it, its burn-in.

    The chunks of a rollout follow one another, so that every step is in one chunk. A burn-in also
    reaches into the rollout before. Before the first rollout it is made of zeros, after which an
    episode ends, so that the hidden states after it are 0. Of the hidden states of the collection,
    a row has those before its first step.

    Args:
        chunk: L, which divides the steps of a rollout.
        burn_in: b, no more than the steps of a rollout.
        hidden: keys of the hidden states.
    """

    unit = "sequences"

    def __init__(self, chunk: int, burn_in: int, hidden: Sequence[NestedKey]):
        self.steps = chunk
        self.burn_in = burn_in
        self.hidden = list(hidden)
        self.before: TensorDictBase | None = None  # the last b steps of the rollout before

    def cut(self, rollout: TensorDictBase) -> TensorDictBase:
        """The rows `[B · T / L]` of a rollout, with `b + L` steps each."""
        steps = self._continued(rollout) if self.burn_in else rollout
        length = self.burn_in + self.steps
        starts = range(0, rollout.shape[1], self.steps)
        windows = [steps[:, start : start + length] for start in starts]
        rows: Any = torch.stack(windows, 1).flatten(0, 1)
        first = {key: rows[key][:, 0] for key in self.hidden}
        rows.auto_batch_size_(1)
        for key, state in first.items():
            rows.set(key, state)
        return rows

    def _continued(self, rollout: TensorDictBase) -> TensorDictBase:
        """The rollout after the b steps before it, `[B, b + T]`."""
        last = rollout[:, -self.burn_in :]
        before = self.before
        if before is None:
            before = last.clone().zero_()
            before[ENDED] = torch.ones_like(before[ENDED])
        require(
            form_of(before.to_dict()) == form_of(last.to_dict()),
            f"the checkpoint's last steps have other tensors than this run's; {ADVICE}",
        )
        self.before = last.clone()
        return torch.cat([before, rollout], 1)

    def whole(self, rows: TensorDictBase) -> TensorDictBase:
        """The minibatch `[C, b + L]` of sampled rows; every step has its row's hidden states."""
        length = self.burn_in + self.steps
        for key in self.hidden:
            state = rows[key]
            rows.set(key, state.unsqueeze(1).expand(-1, length, *state.shape[1:]))
        return rows.auto_batch_size_(2)

    def state(self) -> dict[str, Any]:
        return {} if self.before is None else {"before": self.before.to_dict()}

    def restore(self, state: Mapping[str, Any], device: torch.device, *, goes_on: bool) -> None:
        """See `Transitions`.

        Raises:
            UsageError: the run was saved with another burn-in.
        """
        before = TensorDict(state.get("before", {}), device=device)
        before.auto_batch_size_(2)
        found = 0 if before.is_empty() else before.shape[1]
        require(
            found == self.burn_in,
            f"they are {found}, and burn_in={self.burn_in}; leave out algorithm.burn_in",
        )
        self.before = before if goes_on and found else None
