"""The environment CACC; `ilvf.envs.cacc` describes the task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.cacc.physics import DT, GAINS, Targets, speed_in_front, states
from ilvf.envs.cacc.platoon import drive, new_platoon
from ilvf.envs.cacc.rewards import (
    BOUND,
    ERRORS,
    driving_rewards,
    episode_statistics,
    has_bound,
    squared_errors,
)
from ilvf.envs.cacc.rules import Constant, Linear
from ilvf.envs.cacc.starts import fixed_ratios
from ilvf.envs.names import counted_from_1
from ilvf.envs.options import CACCOptions
from ilvf.envs.pictures import first_episode
from ilvf.errors import require
from ilvf.options import configure
from ilvf.options.arguments import require_device


class CACC(BatchedEnv):
    """`num_envs` platoons; `ilvf.envs.cacc` describes the task.

    Args:
        scenario: `catch-up` or `slow-down`.
        n_agents: N, vehicles.
        num_envs: B, environments stepped together.
        seed: of the environment's generator; None draws one from torch's generator.
        device: device of all tensors; it must support float64.
        **options: the other fields of `CACCOptions`. `ratio` is a number, several (environment k
            starts with `ratio[k % len(ratio)]`), `evaluation` for the six of `EVALUATION_RATIOS`,
            or None for uniform numbers in [1.5, 2.5), one per episode. With `action_repeat=k` a
            step of this environment is k steps of 0.1 s with the same action, and its reward is
            their sum; the attribute `horizon` and `episode/length` then count steps of this
            environment, `horizon / k`.

    Raises:
        UsageError: an option is unknown or out of bounds, or `horizon` or (under the rule
            `reference`) `collision_check_every` is not a multiple of `action_repeat`.
    """

    agent_word = "vehicle"
    n_actions = 4
    state_dim = 5

    def __init__(
        self,
        scenario: str = CACCOptions.scenario,
        n_agents: int = CACCOptions.n_agents,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ):
        values = {"scenario": scenario, "n_agents": n_agents, **options}
        self.options = configure(CACCOptions, values, "CACC")
        _require_multiples(self.options)
        horizon = self.options.horizon
        self.n_agents = self.options.n_agents
        self.observation_dim = 15 if self.options.observe_neighbors else 5
        self.statistic_names = (*ERRORS, "min_headway", "collision", "cost")
        self.targets = Targets(self.options.target_headway, self.options.target_speed)
        known = has_bound(n_agents, horizon, self.targets)
        self.bound = BOUND[scenario] if known else None
        if self.bound is not None:
            self.statistic_names += ("cost_to_bound",)
        self._make_constants(num_envs, require_device("CACC", device))
        steps = horizon // self.options.action_repeat
        super().__init__(num_envs=num_envs, horizon=steps, seed=seed, device=device)

    def _make_constants(self, num_envs: int, device: torch.device) -> None:
        alpha, beta = torch.tensor(GAINS, device=device, dtype=torch.float64)
        self._gains = (alpha, beta)
        self._fixed_ratio: Tensor | None = None
        ratios = fixed_ratios(self.options.ratio)
        if ratios:
            cycle = [ratios[k % len(ratios)] for k in range(num_envs)]
            self._fixed_ratio = torch.tensor(cycle, device=device)
        place = torch.arange(1, self.n_agents + 1, device=device)  # in a platoon padded by one
        self._observed = torch.stack([place, place - 1, place + 1], -1).flatten()
        shape = (self.n_agents, self.observation_dim)
        self._observation_mask = torch.ones(shape, dtype=torch.bool, device=device)
        if self.options.observe_neighbors:
            self._observation_mask[0, 5:10] = False  # no vehicle in front
            self._observation_mask[-1, 10:15] = False  # no vehicle behind

    @property
    def agent_names(self) -> tuple[str, ...]:
        """Numbers from 1, the first vehicle behind the lead."""
        return counted_from_1(self.n_agents)

    # ------------------------------------------------------------------ graphs
    @property
    def observation_graph(self) -> Tensor:
        """Own state and those of the neighbours.

        That every state also holds the relative speed of the vehicle in front is not in it.
        """
        return self._band(-1, 0, 1) if self.options.observe_neighbors else self._band(0)

    @property
    def transition_graph(self) -> Tensor:
        """Own state, and that of the vehicle in front.

        That all vehicles stand still after any collision is not in it.
        """
        return self._band(-1, 0)

    @property
    def reward_graph(self) -> Tensor:
        """All, because all vehicles pay for any collision; without them it is the diagonal."""
        return torch.ones(self.n_agents, self.n_agents, dtype=torch.bool, device=self.device)

    def _band(self, *diagonals: int) -> Tensor:
        """bool `[N, N]`, True on these diagonals; −1 is the vehicle in front."""
        index = torch.arange(self.n_agents, device=self.device)
        offset = index - index.unsqueeze(1)  # column − row
        return torch.isin(offset, torch.tensor(diagonals, device=self.device))

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        shape = (self.batch_size[0], self.n_agents)
        ratio = self._fixed_ratio
        if ratio is None:
            ratio = 1.5 + torch.rand(shape[0], generator=self.rng, device=self.device)
        exact = {"device": self.device, "dtype": torch.float64}
        headway = torch.full(shape, self.targets.headway, **exact)
        speed = torch.full(shape, self.targets.speed, **exact)
        if self.options.scenario == "catch-up":
            headway[:, 0] = self.targets.headway * ratio
        else:
            speed[:] = self.targets.speed * ratio.unsqueeze(-1)
        return self.platoon(headway, speed)

    def platoon(self, headway: Tensor, speed: Tensor) -> World:
        """The world at the start of an episode: headways `[B, N]` [m], speeds `[B, N]` [m/s]."""
        lead = torch.full_like(speed[:, 0], self.targets.speed)
        if self.options.scenario == "slow-down":
            lead = speed[:, 0]
        return new_platoon(*(x.to(self.device, torch.float64) for x in (headway, speed, lead)))

    def advance(self, world: World, action: Tensor) -> World:
        alpha, beta = (g.index_select(0, action.flatten()).view(action.shape) for g in self._gains)
        world = self._advance_once(world, alpha, beta)
        total = world["reward"]
        for _ in range(self.options.action_repeat - 1):
            world = self._advance_once(world, alpha, beta)
            total = total + world["reward"]
        return {**world, "reward": total}

    def _advance_once(self, world: World, alpha: Tensor, beta: Tensor) -> World:
        """The world 0.1 s later, with the rewards of this step."""
        after = drive(world, alpha, beta, self.targets.speed)
        return after | self._score(world, after)

    def _score(self, before: World, world: World) -> World:
        """Rewards of one step, and the sums that the statistics need."""
        options = self.options
        squares = squared_errors(world, before["accel"], self.targets)  # [4, B, N]
        soft_penalty = options.soft_penalty if self.training else 0.0
        collided = world["collided"].unsqueeze(-1)
        reward = driving_rewards(squares, world["headway"], soft_penalty)
        reward = reward.masked_fill(collided, -options.collision_penalty)
        if options.collision_rule == "stop":  # the penalty is paid once
            reward = reward.masked_fill(before["collided"].unsqueeze(-1), 0.0)
        mean = squares.mean(-1).T.masked_fill(collided, 0.0)
        return {
            "reward": reward,
            "squares": world["squares"] + mean,
            "safe": world["safe"] + ~world["collided"],
        }

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        front = speed_in_front(world["lead"], world["speed"])
        state = states(world["headway"], world["speed"], world["accel"], front, self.targets)
        if not self.options.observe_neighbors:
            return state, state.clone()
        padded = torch.nn.functional.pad(state, (0, 0, 1, 1))  # zeros in front of and behind all
        return state, padded.index_select(1, self._observed).view(*state.shape[:2], 15)

    def reward(self, world: World) -> Tensor:
        return world["reward"]

    def ended(self, world: World) -> Tensor | None:
        if self.options.collision_rule == "pay_to_horizon":
            return None
        if self.options.collision_rule == "stop":
            return world["collided"]
        return world["collided"] & (world["time"] % self.options.collision_check_every == 0)

    def statistics(self, world: World) -> dict[str, Tensor]:
        found = episode_statistics(
            world, horizon=self.options.horizon, penalty=self.options.collision_penalty
        )
        if self.bound is not None:
            found["cost_to_bound"] = found["cost"] / self.bound
        return found

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"lead_speed": world["lead"].float().unsqueeze(-1)}

    # ------------------------------------------------------------------ rules and picture
    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        return {"constant": Constant, "linear": self._make_linear}

    def _make_linear(self) -> Linear:
        return Linear(
            self.options.scenario,
            target_headway=self.targets.headway,
            target_speed=self.targets.speed,
        )

    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of one platoon: every vehicle's headway and speed over time.

        Args:
            rollout: `[B, T]`, whose first episode is drawn; None draws the present world.
            index: number of the environment.
        """
        from ilvf.envs.cacc.draw import draw_platoon

        return draw_platoon(*self._episode(rollout, index))

    def animate(self, rollout: TensorDictBase, path: Path | str, index: int = 0) -> None:
        """Write the first episode of environment `index` of a rollout `[B, T]` as a GIF."""
        from ilvf.envs.cacc.draw import animate

        animate(*self._episode(rollout, index), path)

    def _episode(
        self, rollout: TensorDictBase | None, index: int
    ) -> tuple[Tensor, Tensor, float, Targets]:
        """(states `[T + 1, N, 5]`, lead's speeds `[T + 1, 1]`, time of a step, targets)."""
        frames = (self.snapshot().unsqueeze(-1) if rollout is None else rollout)[index]  # [T]
        state = first_episode(frames, ("agents", "state")).cpu()
        lead = first_episode(frames, "lead_speed").cpu()
        return state, lead, DT * self.options.action_repeat, self.targets


def _require_multiples(options: CACCOptions) -> None:
    """Raise unless episodes, and blocks under the rule `reference`, are whole held actions."""
    names = ["horizon"]
    if options.collision_rule == "reference":
        names.append("collision_check_every")
    repeat = options.action_repeat
    for name in names:
        steps = getattr(options, name)
        next_multiple = repeat * -(-steps // repeat)
        require(
            steps % repeat == 0,
            f"{name}={steps} is not a multiple of action_repeat={repeat}; try {next_multiple}",
        )
