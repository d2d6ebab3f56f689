"""VMAS scenarios as an environment; `ilvf.envs.vmas` describes the conventions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torch.nn.functional import pad

from ilvf.envs.base import BatchedWorlds, World
from ilvf.envs.options import VmasOptions
from ilvf.envs.pettingzoo.specs import first_true
from ilvf.envs.pictures import first_episode
from ilvf.envs.vmas.simulator import Simulator
from ilvf.options import configure
from ilvf.options.arguments import keywords, require_batch


class Vmas(BatchedWorlds):
    """`num_envs` copies of a VMAS scenario; `ilvf.envs.vmas` describes the conventions.

    Args:
        task: name of the scenario.
        kwargs: its arguments.
        horizon: steps until truncation.
        num_envs: B, environments stepped together.
        seed: of the environment's generator; None draws one from torch's generator.
        device: device of all tensors, and of the simulation.

    Raises:
        UsageError: VMAS is not installed, the scenario cannot be made or used, see `Simulator`, or
            an argument is out of bounds.
    """

    def __init__(
        self,
        task: str = VmasOptions.task,
        kwargs: Mapping[str, Any] | None = None,
        horizon: int = VmasOptions.horizon,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        values = dict(task=task, kwargs=keywords("Vmas", kwargs), horizon=horizon)
        options = configure(VmasOptions, values, "Vmas")
        require_batch("Vmas", num_envs, seed, device)
        place = torch.device(device)
        self.simulator = Simulator(options.task, options.kwargs, num_envs, place)
        self._held: World | None = None  # the world that the simulator is in
        self.n_agents = self.simulator.n_agents
        counts = self.simulator.action_counts
        sizes = self.simulator.observation_sizes
        self.n_actions = max(counts)
        self.masked = min(counts) < self.n_actions
        self.observation_dim = max(sizes)
        self.state_dim = self.observation_dim
        self._possible = first_true(counts, max(counts)).to(place)
        self._observed = first_true(sizes, max(sizes)).to(place)
        super().__init__(num_envs=num_envs, horizon=options.horizon, seed=seed, device=device)

    @property
    def agent_names(self) -> tuple[str, ...]:
        """The names of VMAS."""
        return tuple(agent.name for agent in self.simulator.env.agents)

    @property
    def observation_mask(self) -> Tensor:
        return self._observed

    def action_mask(self, world: World) -> Tensor:
        return self._possible.expand(*self.batch_size, -1, -1)

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        observations = self.simulator.reset(self.rng)
        shape = (*self.batch_size, self.n_agents)
        reward = torch.zeros(shape, device=self.device)
        ended = torch.zeros(self.batch_size, dtype=torch.bool, device=self.device)
        return self._world(observations, reward, ended)

    def advance(self, world: World, action: Tensor) -> World:
        if world is not self._held:
            self.simulator.write(world)
        return self._world(*self.simulator.step(action, self.rng))

    def _world(self, observations: list[Tensor], reward: Tensor, ended: Tensor) -> World:
        """What the simulator holds now, and what it has returned."""
        width = self.observation_dim
        padded = [pad(x, (0, width - x.shape[-1])) for x in observations]
        self._held = {
            **self.simulator.read(),
            "observation": torch.stack(padded, 1),
            "reward": reward,
            "ended": ended,
            "places": self.simulator.positions(),
        }
        return self._held

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        return world["observation"], world["observation"]

    def reward(self, world: World) -> Tensor:
        return world["reward"]

    def ended(self, world: World) -> Tensor:
        return world["ended"]

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"places": world["places"]}

    # ------------------------------------------------------------------ picture
    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of one environment's first episode.

        Args:
            rollout: `[B, T]`, whose paths are drawn; None draws the present world.
            index: number of the environment.
        """
        from ilvf.envs.vmas.draw import draw_entities

        return draw_entities(self.simulator.env.world.entities, self._places(rollout, index))

    def animate(self, rollout: TensorDictBase, path: Path | str, index: int = 0) -> None:
        """Write the first episode of environment `index` of a rollout `[B, T]` as a GIF."""
        from ilvf.envs.vmas.draw import animate

        animate(self.simulator.env.world.entities, self._places(rollout, index), path)

    def _places(self, rollout: TensorDictBase | None, index: int) -> Tensor:
        """Where all E entities are in the first episode, `[T + 1, E, 3]`."""
        frames = self.snapshot()[index : index + 1] if rollout is None else rollout[index]
        return first_episode(frames, "places").cpu()
