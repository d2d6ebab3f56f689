"""CACC: a platoon of vehicles learns to keep its distance (cooperative adaptive cruise control).

N vehicles (8) follow each other behind a lead vehicle with a given speed. Each wants a headway of 20 m and a speed of
15 m/s. Every 0.1 s each chooses how strongly to react to its own headway and to the vehicle in front; what it does
passes down the platoon from vehicle to vehicle. Vehicle 1, array index 0, is the first behind the lead.

**Scenarios**: `catch-up`: all at 15 m/s and 20 m, but the first vehicle 1.5-2.5 × 20 m behind the lead, which keeps
15 m/s. `slow-down`: all at 20 m and 1.5-2.5 × 15 m/s; the lead brakes evenly to 15 m/s within 29.9 s.

**Actions** (4): gains (α, β) [1/s]: 0 (0, 0), 1 (0.5, 0), 2 (0, 0.5), 3 (0.5, 0.5).

**Step** (0.1 s): acceleration u = α (V(h) − v) + β (v_front − v) within ±2.5 m/s²; speed within 0-30 m/s; headway by
the trapezoidal rule. V(h), the speed that suits a headway: 0 up to 5 m, 30 m/s from 35 m on, a cosine between.

**State** s_i (5 numbers), u as it came out after the limits:

| | | range |
|---|---|---|
| speed | (v − 15 m/s) / 15 m/s | −1 … 1 (slow-down starts: up to 1.5) |
| relative speed | (v_front − v) / 5 m/s | −2 … 2 (clipped) |
| speed wanted for the headway | (V(h) − v) / 5 m/s | −2 … 2 (clipped) |
| headway, 0.1 s ahead | (h + (v_front − v) 0.1 s − 20 m) / 20 m | −1 and up |
| acceleration | u / 2.5 m/s² | −1 … 1 (first step of slow-down: down to −30) |

**Observation** (15): own state, state of the vehicle in front, state of the one behind; the first and the last vehicle
lack one, which is zero and masked. Without `observe_neighbors` (5): own state.

**Reward**, on the state after the step:  r_i = −(h_i − 20)² − (v_i − 15)² − 0.1 u_i² − 5 min(h_i − 10, 0)², the last
term (`soft_penalty`) in training only (`env.train()`, as built), not after `env.eval()`.

**Collision**: as soon as some headway is below 1 m, that step pays −G = −1000 to every vehicle instead, and the platoon
stands still for good. What follows is `collision_rule`:

| rule | after the collision | |
|---|---|---|
| `reference` (default) | −G per step to all until the next multiple of 60 steps, then terminated | a crash late in a block is cheap, and some policies learn to crash in time |
| `pay_to_horizon` | −G per step to all until the clock runs out | crashing gains nothing, unless driving costs more than G |
| `stop` | terminated at once: −G once | the cheapest crash of the three |

**End**: truncated after 600 steps (60 s).

**Statistics** (`episode/…`), of the episode so far. RMS over vehicles and the steps before a collision: `headway_error`
[m], `speed_error` [m/s], `acceleration` [m/s²], `jerk` [m/s³] (comfort: the change of acceleration; 0 before the first
step). `min_headway` [m], `collision` (0 or 1). `cost`: −Σ_i r_i per step, without the soft term, the mean over the
episode; under every collision rule, and however early the episode ended, a collided one counts to the horizon, at G per
vehicle and step from the collision on. So returns differ between the rules, and costs can be compared. `cost_to_bound`
(only with 8 vehicles and 600 steps) divides it by the least that any policy can reach, from a convex relaxation: 24.0 in
catch-up, 302.4 in slow-down, means over the six starts of `ratio="evaluation"`; evaluate 6, 12, ... episodes. From there
the rules of `env.rules` reach, without a collision and so under every collision rule:

| cost_to_bound | catch-up | slow-down |
|---|---|---|
| `linear`: the action nearest to a linear feedback | 1.288 | 1.078 |
| `constant`: always (0.5, 0.5) | 3.383 | 1.619 |

`python recipes/evaluate.py policy=linear env=cacc env.ratio=evaluation algorithm.eval_episodes=6`

**Graphs**: s_i moves by s_{i−1}, s_i and the two actions (but not at all after a collision); the reward depends on
all, if only by a collision; an action of vehicle 1 reaches vehicle k after k − 1 steps.

**As in the reference** (Chu, Chinchali, Katti 2020): all constants; slow-down starts above 30 m/s are cut to 30 in the
first step, whose deceleration is beyond the limit and costs up to 562 per vehicle, whatever is done. **Differences**:
starts come from torch's generator, one uniform number per episode; neighbours have fixed places in the observation, and
front and behind are their whole states; the clock truncates; no greedy episode from the same start after each episode.

Run `python -m ilvf.envs.cacc` to see it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.cacc.physics import (
    ACCEL_WEIGHT,
    CRASH_HEADWAY,
    DT,
    GAINS,
    HEADWAY,
    SOFT_HEADWAY,
    SPEED,
    accelerate,
    ahead,
    features,
    lead_speed,
)
from ilvf.errors import require, require_choice

SCENARIOS = ("catch-up", "slow-down")
COLLISION_RULES = ("reference", "pay_to_horizon", "stop")
EVALUATION_RATIOS = (1.58, 1.748, 1.916, 2.084, 2.252, 2.42)  # fixed starts of an evaluation
BOUND = {
    "catch-up": 24.0,
    "slow-down": 302.4,
}  # least mean cost per step over those starts, 8 vehicles, 600 steps


class CACC(BatchedEnv):
    """`num_envs` platoons; see the module's docstring for agents, observations, rewards and rules.

    Args:
        scenario: `catch-up` or `slow-down`.
        n_agents: N vehicles.
        observe_neighbors: the vehicles in front and behind are observed too.
        collision_rule: `reference`, `pay_to_horizon` or `stop`.
        collision_penalty: G.
        collision_check_every: steps; under `reference` a collided episode ends at multiples of it.
        soft_penalty: weight of min(h − 10, 0)² in training.
        action_repeat: k steps for which an action is held, as one step of the environment, with the sum of rewards.
        ratio: initial headway or speed in multiples of 20 m or 15 m/s: a number, several (environment k begins with
            `ratio[k % len]`), `evaluation` for the six of `EVALUATION_RATIOS`, or None: 1.5-2.5, drawn per episode.
        horizon: steps of 0.1 s until truncation, a multiple of `action_repeat`. The attribute of this name, and
            `episode/length`, count steps of the environment: `horizon / action_repeat`.
        num_envs: B, environments stepped together.
        seed: of the private generator; None draws one from torch's global generator.
        device: where all tensors live; it must know float64.
    """

    n_actions = 4
    state_dim = 5

    def __init__(
        self,
        scenario: str = "catch-up",
        n_agents: int = 8,
        *,
        observe_neighbors: bool = True,
        collision_rule: str = "reference",
        collision_penalty: float = 1000.0,
        collision_check_every: int = 60,
        soft_penalty: float = 5.0,
        action_repeat: int = 1,
        ratio: float | Iterable[float] | str | None = None,
        horizon: int = 600,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        require_choice("scenario", scenario, SCENARIOS)
        require_choice("collision_rule", collision_rule, COLLISION_RULES)
        require(n_agents >= 1, f"n_agents={n_agents} must be at least 1 vehicle")
        require(
            collision_penalty >= 0,
            f"collision_penalty={collision_penalty} is subtracted, it must not be negative",
        )
        require(
            soft_penalty >= 0, f"soft_penalty={soft_penalty} is subtracted, it must not be negative"
        )
        _require_steps(collision_rule, collision_check_every, action_repeat, horizon)
        self.scenario, self.n_agents, self.observe_neighbors = scenario, n_agents, observe_neighbors
        self.collision_rule, self.collision_penalty = collision_rule, collision_penalty
        self.collision_check_every, self.soft_penalty = collision_check_every, soft_penalty
        self.action_repeat, self.total_steps = action_repeat, horizon
        self.observation_dim = 15 if observe_neighbors else 5
        self.bound = BOUND[scenario] if (n_agents, horizon) == (8, 600) else None
        self.statistic_names = (
            "headway_error",
            "speed_error",
            "acceleration",
            "jerk",
            "min_headway",
            "collision",
        )
        self.statistic_names += ("cost",) if self.bound is None else ("cost", "cost_to_bound")
        self._constants(_ratios(ratio), num_envs, torch.device(device))
        super().__init__(
            num_envs=num_envs, horizon=horizon // action_repeat, seed=seed, device=device
        )

    def _constants(self, ratios: tuple[float, ...], num_envs: int, device: torch.device) -> None:
        self._gains = tuple(torch.tensor(g, device=device, dtype=torch.float64) for g in GAINS)
        place = torch.arange(1, self.n_agents + 1, device=device)
        self._seen = torch.stack(
            [place, place - 1, place + 1], -1
        ).flatten()  # own, front, behind, in a padded row
        self._observation_mask = torch.ones(
            self.n_agents, self.observation_dim, dtype=torch.bool, device=device
        )
        if self.observe_neighbors:
            self._observation_mask[0, 5:10] = False
            self._observation_mask[-1, 10:15] = False
        self._ratio = (
            torch.tensor([ratios[k % len(ratios)] for k in range(num_envs)], device=device)
            if ratios
            else None
        )

    # ------------------------------------------------------------------ who couples to whom
    def _chain(self, *offsets: int) -> Tensor:
        ones = torch.ones(self.n_agents, self.n_agents, dtype=torch.bool, device=self.device)
        return torch.stack([ones.triu(k) & ones.tril(k) for k in (0, *offsets)]).any(0)

    @property
    def observation_graph(self) -> Tensor:
        """Whose state s_j is in the observation. (The states themselves hold the speed of the vehicle in front.)"""
        return self._chain(-1, 1) if self.observe_neighbors else self._chain()

    @property
    def transition_graph(self) -> Tensor:
        """i ← i − 1, by its speed and its action. (That nobody moves after a collision of anybody is not in it.)"""
        return self._chain(-1)

    @property
    def reward_graph(self) -> Tensor:
        """All: whoever collides, everybody pays. Without collisions it would be the diagonal."""
        return torch.ones(self.n_agents, self.n_agents, dtype=torch.bool, device=self.device)

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        b, n = self.batch_size[0], self.n_agents
        ratio = self._ratio
        if ratio is None:
            ratio = 1.5 + torch.rand(b, generator=self.rng, device=self.device)
        headway, speed = (torch.full((b, n), x, device=self.device) for x in (HEADWAY, SPEED))
        if self.scenario == "catch-up":
            headway[:, 0] *= ratio
        else:
            speed *= ratio.unsqueeze(-1)
        return self.platoon(headway, speed)

    def platoon(self, headway: Tensor, speed: Tensor) -> World:
        """The world at the start of an episode with these headways [m] and speeds [m/s], [B, N] each.

        In float64: float32 is off by 3e-5 of a headway after 600 steps.
        """
        headway, speed = (x.to(self.device, torch.float64) for x in (headway, speed))
        zero, none = torch.zeros_like(headway), torch.zeros_like(headway, dtype=torch.float32)
        start = speed[:, 0] if self.scenario == "slow-down" else torch.full_like(speed[:, 0], SPEED)
        return {
            "headway": headway,
            "speed": speed,
            "accel": zero,
            "start": start,  # of the lead's speed
            "lead": start,  # its speed now
            "time": zero[:, 0].long(),  # steps of 0.1 s
            "collided": zero[:, 0].bool(),
            "safe": none[:, 0],  # steps without a collision
            "squares": none[:, :1].repeat(1, 4),  # sums over these steps, see `_account`
            "least": headway.amin(-1),
            "reward": none,
        }

    def advance(self, world: World, action: Tensor) -> World:
        alpha, beta = (g.index_select(0, action.flatten()).view(action.shape) for g in self._gains)
        world = self._tick(world, alpha, beta)
        total = world["reward"]
        for _ in range(self.action_repeat - 1):
            world = self._tick(world, alpha, beta)
            total = total + world["reward"]
        return {**world, "reward": total}

    def _tick(self, world: World, alpha: Tensor, beta: Tensor) -> World:
        """The world 0.1 s later; a collided one stands still."""
        time, standing = world["time"] + 1, world["collided"].unsqueeze(-1)
        lead = lead_speed(world["start"], time)
        front = ahead(world["lead"], world["speed"])
        speed, accel = accelerate(world["headway"], world["speed"], front, alpha, beta)
        headway = world["headway"] + 0.5 * DT * (
            front + ahead(lead, speed) - world["speed"] - speed
        )
        moved = {"headway": headway, "speed": speed, "accel": accel}
        moved = {k: torch.where(standing, world[k], v) for k, v in moved.items()}
        closest = moved["headway"].amin(-1)
        moved |= {"time": time, "lead": lead, "least": torch.minimum(world["least"], closest)}
        moved["collided"] = closest < CRASH_HEADWAY  # for good, as it stands still
        return self._account(world, {**world, **moved})

    def _account(self, before: World, world: World) -> World:
        """Rewards of one step, and the sums of (h − 20)², (v − 15)², u² and jerk² over steps without a collision."""
        headway, speed, accel = (world[k] for k in ("headway", "speed", "accel"))
        parts = (headway - HEADWAY, speed - SPEED, accel, (accel - before["accel"]) / DT)
        squares = torch.stack(parts).float().square_()  # [4, B, N]
        reward = -(squares[0] + squares[1] + ACCEL_WEIGHT * squares[2])
        if self.training and self.soft_penalty:
            reward -= self.soft_penalty * (headway - SOFT_HEADWAY).clamp_max_(0).square_()
        collided = world["collided"]
        reward = reward.masked_fill(collided.unsqueeze(-1), -self.collision_penalty)
        if self.collision_rule == "stop":  # pays once
            reward = reward.masked_fill(before["collided"].unsqueeze(-1), 0.0)
        mean = squares.mean(-1).T.masked_fill(collided.unsqueeze(-1), 0.0)
        return {
            **world,
            "reward": reward,
            "squares": world["squares"] + mean,
            "safe": world["safe"] + ~collided,
        }

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        state = features(
            world["headway"], world["speed"], world["accel"], ahead(world["lead"], world["speed"])
        )
        if not self.observe_neighbors:
            return state, state.clone()
        row = torch.nn.functional.pad(
            state, (0, 0, 1, 1)
        )  # nobody before the first and behind the last
        return state, row.index_select(1, self._seen).view(*state.shape[:2], 15)

    def reward(self, world: World) -> Tensor:
        return world["reward"]

    def ended(self, world: World) -> Tensor | None:
        if self.collision_rule == "pay_to_horizon":
            return None
        if self.collision_rule == "stop":
            return world["collided"]
        return world["collided"] & (world["time"] % self.collision_check_every == 0)

    def statistics(self, world: World) -> dict[str, Tensor]:
        """See the module's docstring. Zero before the first step."""
        steps = world["safe"].clamp_min(1)
        mean = world["squares"] / steps.unsqueeze(-1)
        rms = mean.sqrt().unbind(-1)
        cost = self.n_agents * (mean[:, 0] + mean[:, 1] + ACCEL_WEIGHT * mean[:, 2])
        safe_share = (world["safe"] / self.total_steps).clamp_max(1)
        paid = safe_share * cost + (1 - safe_share) * self.n_agents * self.collision_penalty
        cost = torch.where(world["collided"], paid, cost)
        found = [*rms, world["least"].float(), world["collided"].float(), cost]
        if self.bound is not None:
            found.append(cost / self.bound)
        return dict(zip(self.statistic_names, found, strict=True))

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"lead_speed": world["lead"].float().unsqueeze(-1)}

    # ------------------------------------------------------------------ rules and a picture
    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        from ilvf.envs.cacc.rules import Constant, Linear

        return {"constant": Constant, "linear": lambda: Linear(self.scenario)}

    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of environment `index`: every vehicle's headway and speed over time.

        Of the first episode of a rollout `[B, T]`, or of this moment.
        """
        from ilvf.envs.cacc.draw import draw_platoon, first_episode

        frames = (self._look().unsqueeze(-1) if rollout is None else rollout)[index]  # [T]
        state, lead = (first_episode(frames, k).cpu() for k in (("agents", "state"), "lead_speed"))
        return draw_platoon(state, lead, DT * self.action_repeat)


def _require_steps(rule: str, check_every: int, repeat: int, horizon: int) -> None:
    require(repeat >= 1, f"action_repeat={repeat} must be at least 1 step")
    require(check_every >= 1, f"collision_check_every={check_every} must be at least 1 step")
    nearest = repeat * max(1, -(-horizon // repeat))
    require(
        horizon % repeat == 0,
        f"horizon={horizon} is not a multiple of action_repeat={repeat}; try {nearest}",
    )
    nearest = repeat * -(-check_every // repeat)
    require(
        rule != "reference" or check_every % repeat == 0,
        f"collision_check_every={check_every} is not a multiple of action_repeat={repeat}; try {nearest}",
    )


def _ratios(ratio: float | Iterable[float] | str | None) -> tuple[float, ...]:
    """The fixed starts, none if they are drawn."""
    if ratio is None:
        return ()
    if isinstance(ratio, str):
        require_choice("ratio", ratio, ("evaluation",))
        return EVALUATION_RATIOS
    try:
        found = tuple(float(r) for r in ratio) if isinstance(ratio, Iterable) else (float(ratio),)
    except (TypeError, ValueError):
        found = ()
    require(
        bool(found) and min(found) > 0,
        f"ratio={ratio} must be one or more positive numbers, such as 2.0",
    )
    return found
