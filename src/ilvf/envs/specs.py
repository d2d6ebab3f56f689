"""TorchRL specs of a team of agents."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchrl.data import Binary, Composite, Unbounded
from torchrl.data.tensor_specs import TensorSpec

from ilvf.modules.actions import Actions

FLAGS = ("done", "terminated", "truncated")


@dataclass(frozen=True)
class TeamSpecs:
    """Sizes of an environment's batch, and the specs that follow from them.

    Attributes:
        num_envs: B.
        n_agents: N.
        actions: what the agents can do; A is its width.
        observation_dim: Do, numbers that an agent observes.
        state_dim: D, numbers of an agent's own state.
        device: device of all tensors.
    """

    num_envs: int
    n_agents: int
    actions: Actions
    observation_dim: int
    state_dim: int
    device: torch.device

    @property
    def team_shape(self) -> tuple[int, int]:
        """(B, N)."""
        return self.num_envs, self.n_agents

    def agents(self, *, masked: bool) -> Composite:
        """`observation`, `observation_mask`, `state` and, if `masked`, `action_mask`."""
        entries = {
            "observation": self._numbers(*self.team_shape, self.observation_dim),
            "observation_mask": self._flags(*self.team_shape, self.observation_dim),
            "state": self._numbers(*self.team_shape, self.state_dim),
        }
        if masked:
            entries["action_mask"] = self._flags(*self.team_shape, self.actions.width)
        return Composite(entries, shape=self.team_shape, device=self.device)

    def episode(self, names: Sequence[str]) -> Composite:
        """Statistics of an episode, `[B, 1]` each."""
        entries = {name: self._numbers(self.num_envs, 1) for name in names}
        return Composite(entries, shape=(self.num_envs,), device=self.device)

    def action(self) -> Composite:
        """`("agents", "action")`, indices `[B, N]`, or `[B, N, A]` between bounds."""
        return self._of_agents(action=self.actions.spec(self.team_shape, self.device))

    def reward(self) -> Composite:
        """`("agents", "reward")`, `[B, N, 1]`."""
        return self._of_agents(reward=self._numbers(*self.team_shape, 1))

    def done(self) -> Composite:
        """`done`, `terminated` and `truncated`, `[B, 1]` each."""
        entries = {name: self._flags(self.num_envs, 1) for name in FLAGS}
        return Composite(entries, shape=(self.num_envs,), device=self.device)

    def _numbers(self, *shape: int) -> Unbounded:
        return Unbounded(shape, device=self.device)

    def _flags(self, *shape: int) -> Binary:
        return Binary(shape[-1], shape, device=self.device, dtype=torch.bool)

    def _of_agents(self, **entries: TensorSpec) -> Composite:
        agents = Composite(entries, shape=self.team_shape, device=self.device)
        return Composite(agents=agents, shape=(self.num_envs,), device=self.device)
