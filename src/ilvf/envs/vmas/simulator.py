"""VMAS's simulator of a batch, whose state can be read and replaced."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ilvf.envs.pettingzoo.faults import call
from ilvf.envs.scenario import World
from ilvf.envs.vmas.contents import contents, read, write
from ilvf.envs.vmas.making import make_scenario, names_of_rows, root_of
from ilvf.envs.vmas.random_numbers import random_numbers


class Simulator:
    """The simulator of a batch of one scenario.

    Args:
        task: name of the scenario.
        kwargs: its arguments.
        num_envs: B.
        device: of its tensors.

    Attributes:
        env: VMAS's environment.

    Raises:
        UsageError: VMAS is not installed; the scenario is unknown or does not take the arguments,
            fails, or keeps something for all copies at once.
    """

    def __init__(self, task: str, kwargs: Mapping[str, Any], num_envs: int, device: torch.device):
        self.task = task
        names = names_of_rows(task, kwargs)
        rng = torch.Generator(device)
        with random_numbers(rng):
            self.env = make_scenario(task, kwargs, num_envs, device)
        self.reset(rng)
        self.step(torch.zeros(num_envs, self.n_agents, dtype=torch.int64, device=device), rng)
        self._root = root_of(self.env)
        found = contents(self._root)
        self._places = {name: path for name, (path, _) in found.items() if name in names}

    @property
    def n_agents(self) -> int:
        return len(self.env.agents)

    @property
    def action_counts(self) -> list[int]:
        """Actions of every agent."""
        return [int(space.n) for space in self.env.action_space]

    @property
    def observation_sizes(self) -> list[int]:
        """Numbers that every agent observes."""
        return [space.shape[0] for space in self.env.observation_space]

    # ------------------------------------------------------------------ episodes
    def reset(self, rng: torch.Generator) -> list[Tensor]:
        """Start an episode in every copy.

        Returns:
            Observations `[B, Do_i]` of each agent.
        """
        with random_numbers(rng):
            return self._call(self.env.reset)

    def step(self, action: Tensor, rng: torch.Generator) -> tuple[list[Tensor], Tensor, Tensor]:
        """One step of every copy.

        Args:
            action: `[B, N]`, counted from 0.
            rng: of what the scenario draws.

        Returns:
            Observations `[B, Do_i]` of each agent, rewards `[B, N]`, ends `[B]`.
        """
        with random_numbers(rng):
            result = self._call(self.env.step, list(action.unsqueeze(-1).unbind(1)))
        observations, rewards, ended, _ = result
        rows = [reward.reshape(self.env.num_envs) for reward in rewards]
        return observations, torch.stack(rows, -1), ended.reshape(self.env.num_envs)

    def _call(self, function: Any, *arguments: Any) -> Any:
        return call(f"task={self.task}", function, *arguments)

    # ------------------------------------------------------------------ the world
    def read(self) -> World:
        """A copy of the simulator's tensors `[B, ...]`."""
        found = {name: read(self._root, path) for name, path in self._places.items()}
        return {name: value.clone() for name, value in found.items()}

    def write(self, world: World) -> None:
        """Replace the simulator's tensors by a copy of those in `world`."""
        for name, path in self._places.items():
            write(self._root, path, world[name].clone())

    def positions(self) -> Tensor:
        """x [m], y [m] and angle [rad] of all E entities, `[B, E, 3]`."""
        places = []
        for entity in self.env.world.entities:
            places.append(torch.cat([entity.state.pos, entity.state.rot], -1))
        return torch.stack(places, 1)
