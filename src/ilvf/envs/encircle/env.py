"""The environment MPE Encircle; `ilvf.envs.encircle` describes the task."""

import functools
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.encircle.physics import (
    AGENT_RADIUS,
    DIRECTIONS,
    FORCE,
    RADIUS,
    contact_force,
    gap_errors,
    move,
)
from ilvf.envs.names import counted_from_1
from ilvf.envs.options import EncircleOptions
from ilvf.envs.pictures import first_episode
from ilvf.errors import UsageError, require
from ilvf.modules.actions import Actions, Box, Choices
from ilvf.options import configure
from ilvf.options.arguments import require_device

OBSTACLE_RADII = (0.08, 0.15)  # [m]
RING_CLEARANCE = 0.1  # [m] between an obstacle and the ring
PLACEMENT_ATTEMPTS = 1000
SUCCESS_RADIUS = 0.05  # [m]
SUCCESS_ANGLE = 0.1  # [rad]


class Encircle(BatchedEnv):
    """`num_envs` copies of MPE Encircle; `ilvf.envs.encircle` describes the task.

    Args:
        n_agents: N, even and at least 4.
        n_obstacles: K, discs in the way; 0 for none, 3 for the paper's setting.
        angle: `signed` or `unsigned`, how eq. 18 measures the angle between neighbours.
        horizon: steps until truncation.
        continuous: an action is a force within ±5 N on each axis, instead of one of five.
        num_envs: B, environments stepped together.
        seed: of the environment's generator; None draws one from torch's generator.
        device: device of all tensors.

    Raises:
        UsageError: an argument is out of bounds, or there is no space for the obstacles.
    """

    statistic_names = ("radius_error", "angle_error", "success")

    def __init__(
        self,
        n_agents: int = EncircleOptions.n_agents,
        n_obstacles: int = EncircleOptions.n_obstacles,
        angle: str = EncircleOptions.angle,
        horizon: int = EncircleOptions.horizon,
        continuous: bool = EncircleOptions.continuous,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        values = dict(
            n_agents=n_agents,
            n_obstacles=n_obstacles,
            angle=angle,
            continuous=continuous,
            horizon=horizon,
        )
        options = configure(EncircleOptions, values, "Encircle")
        require(
            n_agents >= 4 and n_agents % 2 == 0,
            f"n_agents={n_agents}: Encircle needs an even number of at least 4; "
            f"try {max(4, n_agents + n_agents % 2)}",
        )
        self.n_agents = options.n_agents
        self.n_obstacles = options.n_obstacles
        self.angle = options.angle
        self.continuous = options.continuous
        self.n_actions = 2 if options.continuous else len(DIRECTIONS)
        self.state_dim = 6 + 2 * n_obstacles
        self.observation_dim = self.state_dim + 12
        self._make_constants(require_device("Encircle", device))
        super().__init__(num_envs=num_envs, horizon=options.horizon, seed=seed, device=device)

    def _make_constants(self, device: torch.device) -> None:
        index = torch.arange(self.n_agents, device=device)
        self.sees_neighbors = index % 2 == 0  # odd-numbered agents
        self.rewarded_for_angles = ~self.sees_neighbors  # even-numbered agents
        shape = (self.n_agents, self.observation_dim)
        self._observation_mask = torch.ones(shape, dtype=torch.bool, device=device)
        self._observation_mask[self.rewarded_for_angles, self.state_dim :] = False
        self._forces = FORCE * DIRECTIONS.to(device)

    @functools.cached_property
    def actions(self) -> Actions:
        if not self.continuous:
            return Choices(self.n_actions)
        bound = torch.full((self.n_agents, self.n_actions), FORCE)
        return Box(-bound, bound)

    @property
    def agent_names(self) -> tuple[str, ...]:
        """Numbers from 1, of which odd ones see and even ones are rewarded for the ring."""
        return counted_from_1(self.n_agents)

    # ------------------------------------------------------------------ graphs
    @property
    def observation_graph(self) -> Tensor:
        return self._ring_graph(self.sees_neighbors)

    @property
    def transition_graph(self) -> Tensor:
        return torch.eye(self.n_agents, dtype=torch.bool, device=self.device)

    @property
    def reward_graph(self) -> Tensor:
        return self._ring_graph(self.rewarded_for_angles)

    def _ring_graph(self, rows: Tensor) -> Tensor:
        """The diagonal, and both neighbours in the given rows `[N]`."""
        diagonal = torch.eye(self.n_agents, dtype=torch.bool, device=rows.device)
        neighbors = diagonal.roll(1, 1) | diagonal.roll(-1, 1)
        return diagonal | (neighbors & rows.unsqueeze(1))

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        position = self._uniform(self.n_agents, 2, low=-1.0, high=1.0)
        world = {
            "position": position,
            "velocity": torch.zeros_like(position),
            "target": self._uniform(2, low=-0.5, high=0.5),
        }
        return world | self._place_obstacles(world)

    def _uniform(self, *shape: int, low: float, high: float) -> Tensor:
        unit = torch.rand(self.batch_size[0], *shape, generator=self.rng, device=self.device)
        return low + (high - low) * unit

    def _place_obstacles(self, world: World) -> World:
        """Draw discs, and redraw those that cover the ring, the target or an agent's start.

        Whether a disc is redrawn is read from the device, unless there are no discs.
        """
        center, radius = self._draw_obstacles()
        if self.n_obstacles == 0:
            return {"obstacle_center": center, "obstacle_radius": radius}
        for _ in range(PLACEMENT_ATTEMPTS):
            blocked = self._blocked(center, radius, world)
            if not blocked.any():
                return {"obstacle_center": center, "obstacle_radius": radius}
            new_center, new_radius = self._draw_obstacles()
            center = torch.where(blocked.unsqueeze(-1), new_center, center)
            radius = torch.where(blocked, new_radius, radius)
        raise UsageError(
            f"n_obstacles={self.n_obstacles} discs find no space among "
            f"n_agents={self.n_agents}; take fewer of either"
        )

    def _draw_obstacles(self) -> tuple[Tensor, Tensor]:
        """(centers `[B, K, 2]`, radii `[B, K]`) [m]."""
        low, high = OBSTACLE_RADII
        center = self._uniform(self.n_obstacles, 2, low=-1.0, high=1.0)
        radius = self._uniform(self.n_obstacles, low=low, high=high)
        return center, radius

    def _blocked(self, center: Tensor, radius: Tensor, world: World) -> Tensor:
        """bool `[B, K]`: does a disc cover the ring, the target or an agent's start?"""
        from_target = (center - world["target"].unsqueeze(1)).norm(dim=-1)
        from_agents = torch.cdist(center, world["position"]).amin(-1)
        covers_ring = (from_target - RADIUS).abs() < radius + RING_CLEARANCE
        covers_target = from_target < radius
        covers_start = from_agents < radius + AGENT_RADIUS
        return covers_ring | covers_target | covers_start

    def advance(self, world: World, action: Tensor) -> World:
        force = action if self.continuous else self._forces[action]
        if self.n_obstacles:
            force = force + contact_force(
                world["position"], world["obstacle_center"], world["obstacle_radius"]
            )
        position, velocity = move(world["position"], world["velocity"], force)
        return {**world, "position": position, "velocity": velocity}

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        position = world["position"]
        to_target = world["target"].unsqueeze(1) - position
        parts = [world["velocity"], position, to_target]
        if self.n_obstacles:
            to_obstacles = world["obstacle_center"].unsqueeze(1) - position.unsqueeze(2)
            parts.append(to_obstacles.flatten(2))
        state = torch.cat(parts, -1)
        core = state[..., :6]
        neighbors = torch.cat([core.roll(-1, 1), core.roll(1, 1)], -1)
        neighbors = neighbors * self.sees_neighbors.unsqueeze(-1)
        return state, torch.cat([state, neighbors], -1)

    def reward(self, world: World) -> Tensor:
        relative = world["position"] - world["target"].unsqueeze(1)
        gap = gap_errors(relative, self.angle).square()  # to the next agent
        ring = (gap + gap.roll(1, -1)) * self.rewarded_for_angles
        return -0.1 * (relative.norm(dim=-1) - RADIUS).square() - ring

    def statistics(self, world: World) -> dict[str, Tensor]:
        relative = world["position"] - world["target"].unsqueeze(1)
        radius = (relative.norm(dim=-1) - RADIUS).abs()
        angle = gap_errors(relative, self.angle).abs()
        success = (radius.amax(-1) < SUCCESS_RADIUS) & (angle.amax(-1) < SUCCESS_ANGLE)
        return {
            "radius_error": radius.square().mean(-1).sqrt(),
            "angle_error": angle.square().mean(-1).sqrt(),
            "success": success.float(),
        }

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"obstacle_radius": world["obstacle_radius"]} if self.n_obstacles else {}

    # ------------------------------------------------------------------ picture
    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of one environment.

        Args:
            rollout: `[B, T]`, whose first episode is drawn; None draws the present world.
            index: number of the environment.
        """
        from ilvf.envs.encircle.draw import draw_paths

        return draw_paths(*self._episode(rollout, index))

    def animate(self, rollout: TensorDictBase, path: Path | str, index: int = 0) -> None:
        """Write the first episode of environment `index` of a rollout `[B, T]` as a GIF."""
        from ilvf.envs.encircle.draw import animate

        animate(*self._episode(rollout, index), path)

    def _episode(
        self, rollout: TensorDictBase | None, index: int
    ) -> tuple[Tensor, Tensor, list[float]]:
        """(states `[T + 1, N, D]`, who sees its neighbours `[N]`, radii of the obstacles)."""
        frames = (self.snapshot().unsqueeze(-1) if rollout is None else rollout)[index]  # [T]
        state = first_episode(frames, ("agents", "state"))
        radius = frames["obstacle_radius"][0].tolist() if self.n_obstacles else []
        return state.cpu(), self.sees_neighbors.cpu(), radius
