"""What each role of Predator Capture Prey sees of its window."""

import torch
from torch import Tensor

from ilvf.envs.capture_prey.windows import Windows

LEAKED = -1.0  # what the reference writes over leaked cells


class Sight:
    """The windows of all agents, without what their roles cannot see.

    Perception agents see all of their windows. Action agents see no counts (`action_vision=-1`), or
    only those of the central (2·action_vision+1)² cells.

    Args:
        windows: layout of a window.
        n_perception: P, the first agents.
        n_action: A, the agents after them.
        n_prey: K.
        action_vision: how far action agents see, −1 if they are blind.
        leak: as in the reference, the cells in the windows of blind action agents are −1 in the
            windows of all agents that are returned.

    Attributes:
        visible: bool `[N, size]`.
        rows: number of agents that see something; these are the first ones.
    """

    def __init__(
        self,
        windows: Windows,
        n_perception: int,
        n_action: int,
        n_prey: int,
        *,
        action_vision: int,
        leak: bool,
    ):
        self.windows = windows
        self.n_perception = n_perception
        self.leak = leak
        by_action = windows.central(action_vision) if action_vision >= 0 else ~windows.counts
        by_perception = torch.ones_like(by_action)
        self.visible = torch.cat(
            [by_perception.expand(n_perception, -1), by_action.expand(n_action, -1)]
        )
        roles = ["perception"] * n_perception + ["action"] * n_action + ["prey"] * n_prey
        channels = [windows.channels[role] for role in roles]
        self._channel = torch.tensor(channels, device=by_action.device)
        self.rows = int(self.visible.any(-1).sum())
        self._all_visible = bool(self.visible[: self.rows].all())

    def __call__(self, position: Tensor, prey: Tensor, hidden: float) -> Tensor:
        """Windows of the first `rows` agents.

        Args:
            position: of the agents, `[B, N, 2]`.
            prey: `[B, K, 2]`.
            hidden: number that replaces what an agent cannot see.

        Returns:
            `[B, rows, size]`.
        """
        center = position[:, : self.rows]
        window = self.windows.look(center, torch.cat([position, prey], 1), self._channel)
        if self.leak:
            blind = position[:, self.n_perception :]
            leaked = self.windows.counts_also_seen_by(blind, center)
            window = window.masked_fill(leaked, LEAKED)
        if self._all_visible:
            return window
        return window.where(self.visible[: self.rows], hidden)
