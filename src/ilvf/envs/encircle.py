"""MPE Encircle: point masses that surround a target in ring order (paper, Sec. 5.1 and App. B.1).

N agents (even) live on a plane with a target. Each wants to be 0.7 away from it; EVEN-numbered agents also want their
two neighbours on the ring at an angle of 2π/N, but do not see them. ODD-numbered agents see both neighbours, and get
nothing for it: what they do shows in the rewards of others. Agents are numbered 1..N, so "odd" is array index 0, 2, ...

**Actions** (5): 0 none, 1 −x, 2 +x, 3 −y, 4 +y, a force of 5 N on 1 kg.

**State** s_i (6 + 2K numbers): velocity (2) [m/s], position (2) [m], target − position (2) [m], obstacle − position
(2 for each of the K obstacles) [m].

**Observation** (6 + 2K + 12): own state, then the first 6 numbers of the neighbours i+1 and i−1; for even agents these
12 are zero and masked.

**Reward** (eq. 17-18), on the state after the move:  r_i = −0.1 (d_i − 0.7)² − Σ_{j∈N_i} e_ij²,  N_i = {i−1, i+1} for
even i and empty for odd i. `angle="signed"` (default): e_ij is the error of the angle from i toward j's own side of
the ring, wrapped into (−π, π], zero only for a true encirclement. `angle="unsigned"`: e_ij = |angle between i and j| −
2π/N, the most literal reading of eq. 18, which folded rings also satisfy. The best sum of rewards is 0.

**Start**: agents uniform in [−1, 1]² at rest, target uniform in [−0.5, 0.5]². **End**: truncated after 50 steps.

**Choices where the paper is silent**: ring closed; K obstacles are discs of radius 0.08-0.15 m that leave the target's
ring, the target and every start free, and push agents away as in MPE; 50 steps of 0.1 s; damping 0.25.

Run `python -m ilvf.envs.encircle` to see it.
"""

import math
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.errors import require, require_choice

DT = 0.1  # [s]
DAMPING = 0.25  # fraction of the velocity lost each step
FORCE = 5.0  # [N], mass 1 kg
RADIUS = 0.7  # [m], wanted distance from the target
AGENT_RADIUS = 0.05  # [m], felt by obstacles only
CONTACT_FORCE, CONTACT_MARGIN = 100.0, 1e-3  # [N/m], [m]
OBSTACLE_RADII = (0.08, 0.15)  # [m]
DIRECTIONS = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])


def contact_force(position: Tensor, center: Tensor, radius: Tensor) -> Tensor:
    """Force of K discs on N points [N]: 100 · margin · softplus((R − dist)/margin), away from the disc.

    position [B, N, 2] [m], center [B, K, 2] [m], radius [B, K] [m] → [B, N, 2]
    """
    away = position.unsqueeze(2) - center.unsqueeze(1)  # [B, N, K, 2]
    distance = away.norm(dim=-1)
    overlap = (AGENT_RADIUS + radius.unsqueeze(1) - distance) / CONTACT_MARGIN
    softplus = torch.logaddexp(overlap, torch.zeros_like(overlap))
    push = CONTACT_FORCE * CONTACT_MARGIN * softplus / distance.clamp_min(1e-9)
    return (push.unsqueeze(-1) * away).sum(2)


def move(position: Tensor, velocity: Tensor, force: Tensor) -> tuple[Tensor, Tensor]:
    """v' = (1 − damping) v + dt·f,  x' = x + dt·v'  (velocity first).  [m], [m/s], [N], all [B, N, 2]."""
    velocity = (1 - DAMPING) * velocity + DT * force
    return position + DT * velocity, velocity


def wrap(angle: Tensor) -> Tensor:
    """Bring an angle into (−π, π]."""
    return math.pi - torch.remainder(math.pi - angle, 2 * math.pi)


def gap_errors(relative: Tensor, angle: str) -> Tensor:
    """Error of the angle from each agent to the next on the ring, [B, N], from agent − target [B, N, 2]."""
    theta = torch.atan2(relative[..., 1], relative[..., 0])
    gap, wanted = theta.roll(-1, -1) - theta, 2 * math.pi / theta.shape[-1]
    return wrap(gap - wanted) if angle == "signed" else wrap(gap).abs() - wanted


class Encircle(BatchedEnv):
    """`num_envs` copies of MPE Encircle; see the module's docstring for agents, observations, rewards and choices.

    Args:
        n_agents: N, even and at least 4 (an odd ring breaks the odd/even rule).
        n_obstacles: K discs in the way; 0 for none, 3 for the paper's setting.
        angle: `signed` or `unsigned`, how eq. 18 measures the angle between neighbours.
        horizon: steps until truncation.
        num_envs: B, environments stepped together.
        seed: of the private generator; None draws one from torch's global generator.
        device: where all tensors live.
    """

    n_actions = 5
    statistic_names = ("radius_error", "angle_error", "success")

    def __init__(
        self,
        n_agents: int = 20,
        n_obstacles: int = 0,
        angle: str = "signed",
        horizon: int = 50,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        require(
            n_agents >= 4 and n_agents % 2 == 0,
            f"n_agents={n_agents}: Encircle needs an even number of at least 4; try {max(4, n_agents + n_agents % 2)}",
        )
        require(n_obstacles >= 0, f"n_obstacles={n_obstacles} must not be negative")
        require_choice("angle", angle, ("signed", "unsigned"))
        self.n_agents, self.n_obstacles, self.angle = n_agents, n_obstacles, angle
        self.state_dim = 6 + 2 * n_obstacles
        self.observation_dim = self.state_dim + 12
        self._constants(torch.device(device))
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    def _constants(self, device: torch.device) -> None:
        index = torch.arange(self.n_agents, device=device)
        self.seeing = index % 2 == 0  # odd numbers, even indices: they see their neighbours
        self.judged = ~self.seeing  # even numbers: rewarded for their neighbours' places
        self._observation_mask = torch.ones(
            self.n_agents, self.observation_dim, dtype=torch.bool, device=device
        )
        self._observation_mask[self.judged, self.state_dim :] = False
        self._directions = FORCE * DIRECTIONS.to(device)

    def _ring_graph(self, rows: Tensor) -> Tensor:
        own = torch.eye(self.n_agents, dtype=torch.bool, device=rows.device)
        return own | ((own.roll(1, 1) | own.roll(-1, 1)) & rows.unsqueeze(1))

    @property
    def observation_graph(self) -> Tensor:
        return self._ring_graph(self.seeing)

    @property
    def transition_graph(self) -> Tensor:
        return torch.eye(self.n_agents, dtype=torch.bool, device=self.device)

    @property
    def reward_graph(self) -> Tensor:
        return self._ring_graph(self.judged)

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    # ------------------------------------------------------------------ the world
    def _uniform(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        unit = torch.rand(self.batch_size[0], *shape, generator=self.rng, device=self.device)
        return low + (high - low) * unit

    def initial(self) -> World:
        position = self._uniform(self.n_agents, 2)
        world = {
            "position": position,
            "velocity": torch.zeros_like(position),
            "target": self._uniform(2, low=-0.5, high=0.5),
        }
        return world | self._place_obstacles(world)

    def _place_obstacles(self, world: World) -> World:
        """Redraw every disc that blocks the ring, the target or an agent's start."""
        k = self.n_obstacles
        center, radius = (
            self._uniform(k, 2),
            self._uniform(k, low=OBSTACLE_RADII[0], high=OBSTACLE_RADII[1]),
        )
        if k == 0:
            return {"obstacle_center": center, "obstacle_radius": radius}
        for _ in range(1000):
            from_target = (center - world["target"].unsqueeze(1)).norm(dim=-1)
            from_agents = torch.cdist(center, world["position"]).amin(-1)
            bad = ((from_target - RADIUS).abs() < radius + 0.1) | (from_target < radius)
            bad |= from_agents < radius + AGENT_RADIUS
            if not bad.any():
                return {"obstacle_center": center, "obstacle_radius": radius}
            center = torch.where(bad.unsqueeze(-1), self._uniform(k, 2), center)
            radius = torch.where(
                bad, self._uniform(k, low=OBSTACLE_RADII[0], high=OBSTACLE_RADII[1]), radius
            )
        require(
            False,
            f"n_obstacles={k} discs find no room among n_agents={self.n_agents}; take fewer of either",
        )
        return {}

    def advance(self, world: World, action: Tensor) -> World:
        force = self._directions[action]
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
            parts.append((world["obstacle_center"].unsqueeze(1) - position.unsqueeze(2)).flatten(2))
        state = torch.cat(parts, -1)
        core = state[..., :6]
        neighbours = torch.cat([core.roll(-1, 1), core.roll(1, 1)], -1) * self.seeing.unsqueeze(-1)
        return state, torch.cat([state, neighbours], -1)

    def reward(self, world: World) -> Tensor:
        relative = world["position"] - world["target"].unsqueeze(1)
        gap = gap_errors(relative, self.angle).square()
        ring = (gap + gap.roll(1, -1)) * self.judged
        return -0.1 * (relative.norm(dim=-1) - RADIUS).square() - ring

    def statistics(self, world: World) -> dict[str, Tensor]:
        """RMS of |d − 0.7| [m] and of the ring's angle errors [rad]; success: all below 0.05 m and 0.1 rad."""
        relative = world["position"] - world["target"].unsqueeze(1)
        radius = (relative.norm(dim=-1) - RADIUS).abs()
        angle = gap_errors(relative, self.angle).abs()
        success = (radius.amax(-1) < 0.05) & (angle.amax(-1) < 0.1)
        rms = [x.square().mean(-1).sqrt() for x in (radius, angle)]
        return {"radius_error": rms[0], "angle_error": rms[1], "success": success.float()}

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"obstacle_radius": world["obstacle_radius"]} if self.n_obstacles else {}

    # ------------------------------------------------------------------ a picture
    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of environment `index`: its present state, or the paths of a rollout `[B, T]`."""
        frames = (self._look().unsqueeze(-1) if rollout is None else rollout)[index]  # [T]
        last = frames["next"] if rollout is not None else frames
        state = torch.cat([frames["agents", "state"], last["agents", "state"][-1:]])
        radius = frames["obstacle_radius"][0].tolist() if self.n_obstacles else []
        return draw_paths(state.cpu(), self.seeing.cpu(), radius)


def draw_paths(state: Tensor, seeing: Tensor, obstacle_radius: list[float]) -> Any:
    """Paths of N agents around the target, from their states `[T, N, D]` (last row = where they are)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.3), layout="constrained")
    axes = figure.add_subplot(aspect="equal", xlabel="x [m]", ylabel="y [m]")
    position, last = state[..., 2:4], state[-1]
    target = (last[0, 2:4] + last[0, 4:6]).tolist()
    circle = torch.linspace(0, 2 * math.pi, 100)
    axes.plot(
        target[0] + RADIUS * circle.cos(), target[1] + RADIUS * circle.sin(), ":", color="0.6", lw=1
    )
    for k, r in enumerate(obstacle_radius):
        center = last[0, 2:4] + last[0, 6 + 2 * k : 8 + 2 * k]
        axes.plot(center[0] + r * circle.cos(), center[1] + r * circle.sin(), color="0.4", lw=1.5)
    ring = torch.cat([position[-1], position[-1, :1]])
    axes.plot(ring[:, 0], ring[:, 1], color="0.8", lw=0.8)
    for i in range(position.shape[1]):
        axes.plot(
            position[:, i, 0],
            position[:, i, 1],
            color="C0" if seeing[i] else "C1",
            lw=0.7,
            alpha=0.5,
        )
    for rows, color, label in (
        (seeing, "C0", "odd: sees its neighbours"),
        (~seeing, "C1", "even: rewarded for the ring"),
    ):
        axes.scatter(
            position[-1, rows, 0], position[-1, rows, 1], color=color, s=36, zorder=3, label=label
        )
    axes.scatter(target[0], target[1], marker="*", s=120, color="C3", zorder=3, label="target")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


if __name__ == "__main__":
    print(__doc__)
    scene = Encircle(n_agents=10, n_obstacles=3, seed=0)
    scene.draw(scene.rollout(50)).savefig("encircle.png", dpi=120)
    print("encircle.png shows 50 random steps of ten agents among three obstacles")
