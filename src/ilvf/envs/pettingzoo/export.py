"""This library's environments as PettingZoo parallel environments, for other libraries.

    env = as_pettingzoo("encircle", n_agents=10)
    observations, infos = env.reset(seed=0)
    actions = {agent: 0 for agent in env.agents}
    observations, rewards, terminations, truncations, infos = env.step(actions)

**Agents** are `agent_0`, `agent_1`, ...

**Actions**: Discrete, MultiDiscrete or a Box, as the environment's are.

**Observation**: a Box without padding. If some actions can be impossible, it is a Dict of
`observation` and `action_mask`.

**Infos**: each agent's own `state`, the input of this library's critics, and at the end of an
episode its statistics under `episode`.

**`state()`**: the states of all agents side by side.

Run `python -m ilvf.envs.pettingzoo.export [NAME]` to run PettingZoo's own tests on one.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from ilvf.envs.base import BatchedWorlds
from ilvf.errors import UsageError, require, run_recipe
from ilvf.modules.actions import Actions, Box, MultiChoices
from ilvf.options.arguments import require_kind, require_seed, whole_number

# What `step` returns: observations, rewards, terminations, truncations, infos.
StepResult = tuple[
    dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
]


def as_pettingzoo(
    env: str | BatchedWorlds, *, render_mode: str | None = None, **kwargs: Any
) -> "AsPettingZoo":
    """An environment of this library as a PettingZoo parallel environment.

    Args:
        env: its name, or a batch of one. After `env.eval()` a batch of one has the rewards of
            evaluations, where these differ from those of training.
        render_mode: None, or `rgb_array` for an environment that can be drawn.
        **kwargs: options of the environment, with a name.
    """
    if isinstance(env, str):
        from ilvf.envs import make_env

        number = kwargs.pop("num_envs", 1)
        require(number == 1, f"num_envs={number}: a PettingZoo environment is one; leave it out")
        made: Any = make_env(env, num_envs=1, **kwargs)
    else:
        require(
            not kwargs,
            f"{', '.join(kwargs)}: arguments go with a name, and not with a ready environment",
        )
        made = env
    require(
        isinstance(made, BatchedWorlds),
        f"{type(made).__name__} is no scenario of this library; give its name, or one",
    )
    return AsPettingZoo(made, render_mode)


class AsPettingZoo(ParallelEnv):
    """A PettingZoo parallel environment that steps a batch of one.

    Args:
        env: a batch of one.
        render_mode: None or `rgb_array`.
    """

    def __init__(self, env: BatchedWorlds, render_mode: str | None = None):
        require(
            env.batch_size[0] == 1,
            f"num_envs={env.batch_size[0]}: a PettingZoo environment is one; make several",
        )
        modes = ["rgb_array"] if hasattr(env, "draw") else []
        require(
            render_mode is None or render_mode in modes,
            f"render_mode={render_mode!r} is not known here; "
            f"choose one of {', '.join(['None', *modes])}",
        )
        self.env = env
        self.render_mode = render_mode
        self.horizon = env.horizon
        self.metadata = {
            "name": type(env).__name__.lower(),
            "render_modes": modes,
            "is_parallelizable": True,
        }
        self.possible_agents = [f"agent_{i}" for i in range(env.n_agents)]
        self.agents: list[str] = []
        self._observed = env.observation_mask.cpu().numpy()  # [N, Do]
        self._existing = np.ones((env.n_agents, env.actions.width), bool)  # actions, [N, A]
        if isinstance(env.actions, MultiChoices):
            self._existing = env.actions.existing.cpu().numpy()
        self.observation_spaces = {}
        for i, agent in enumerate(self.possible_agents):
            self.observation_spaces[agent] = self._space(i)
        self.action_spaces = {
            agent: _action_space(env.actions, i) for i, agent in enumerate(self.possible_agents)
        }
        self.state_space = _box(env.n_agents * env.state_dim)

    def _space(self, i: int) -> spaces.Space:
        """The observation space of agent i."""
        own = _box(int(self._observed[i].sum()))
        if not self.env.masked:
            return own
        mask = spaces.MultiBinary(int(self._existing[i].sum()))
        return spaces.Dict({"observation": own, "action_mask": mask})

    def observation_space(self, agent: str) -> spaces.Space:
        """The observation space of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """The action space of an agent."""
        return self.action_spaces[agent]

    # ------------------------------------------------------------------ episodes
    def reset(
        self, seed: int | None = None, options: dict | None = None
    ) -> tuple[dict[str, Any], dict[str, dict]]:
        """Start an episode; return observations and infos by agent."""
        require_seed("reset", seed)
        if seed is not None:
            self.env.set_seed(seed)
        self.agents = list(self.possible_agents)
        return self._by_agent(self.env._reset())

    def step(self, actions: Mapping[str, Any]) -> StepResult:
        """One step with an action of every agent; all agents end together."""
        require(bool(self.agents), "the episode is over; reset() begins the next one")
        action = {"agents": {"action": self._action_tensor(actions)}}
        td = self.env._step(TensorDict(action, [1]))
        names = self.agents
        observations, infos = self._by_agent(td)
        rewards = dict(zip(names, td["agents", "reward"].flatten().tolist(), strict=True))
        terminations = dict.fromkeys(names, bool(td["terminated"]))
        truncations = dict.fromkeys(names, bool(td["truncated"]))
        if bool(td["done"]):
            episode = {name: float(value) for name, value in td["episode"].items()}
            for info in infos.values():
                info["episode"] = dict(episode)
            self.agents = []
        return observations, rewards, terminations, truncations, infos

    def _action_tensor(self, actions: Mapping[str, Any]) -> Tensor:
        """The actions of all agents, `[1, N, *event]`."""
        require_kind("step", "actions", actions, Mapping, "a mapping of agents to actions")
        missing = [agent for agent in self.agents if agent not in actions]
        require(not missing, f"step needs an action of every agent; {', '.join(missing)} has none")
        if isinstance(self.env.actions, Box):
            return self._box_tensor(self.env.actions, actions)
        if isinstance(self.env.actions, MultiChoices):
            return self._choices_tensor(self.env.actions, actions)
        chosen = [self._choice_of(agent, actions[agent]) for agent in self.agents]
        return torch.tensor([chosen], device=self.env.device)

    def _choice_of(self, agent: str, action: Any) -> int:
        """An action as a number of one of the choices."""
        n = self.env.n_actions
        choice = whole_number(action)
        if choice is None or not 0 <= choice < n:
            raise UsageError(
                f"the action of {agent} is {action!s:.100}; actions are the whole numbers 0 to "
                f"{n - 1}"
            )
        return choice

    def _box_tensor(self, box: Box, actions: Mapping[str, Any]) -> Tensor:
        """Continuous actions of all agents, `[1, N, A]`; fixed components are added."""
        rows = box.middle.clone()
        for i, agent in enumerate(self.agents):
            shape = self.action_spaces[agent].shape
            try:
                action = np.asarray(actions[agent], np.float32)
            except (TypeError, ValueError):
                raise UsageError(
                    f"the action of {agent} is {actions[agent]!s:.100}; actions are {shape} numbers"
                ) from None
            require(
                action.shape == shape,
                f"the action of {agent} has the shape {action.shape}, need {shape}",
            )
            rows[i, box.free[i]] = torch.from_numpy(action).to(rows)
        return rows.unsqueeze(0).to(self.env.device)

    def _choices_tensor(self, choices: MultiChoices, actions: Mapping[str, Any]) -> Tensor:
        """Several choices of all agents, `[1, N, D]`."""
        rows = torch.zeros_like(choices.counts)
        for i, agent in enumerate(self.agents):
            space = self.action_spaces[agent]
            action = np.asarray(actions[agent])
            require(
                space.contains(action),
                f"the action of {agent} is {actions[agent]!s:.100}, which is not in {space!s:.100}",
            )
            rows[i] = torch.from_numpy(action)
        return rows.unsqueeze(0).to(self.env.device)

    def _by_agent(self, td: TensorDictBase) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Observations and infos by agent, from the tensordict of a batch of one."""
        group = td["agents"]
        observation = group["observation"][0].cpu().numpy()
        self._state = group["state"][0].cpu().numpy().astype(np.float32)
        allowed = None
        if self.env.masked:
            allowed = group["action_mask"][0].cpu().numpy().astype(np.int8)
        observations: dict[str, Any] = {}
        infos: dict[str, dict[str, Any]] = {}
        for i, agent in enumerate(self.possible_agents):
            seen = observation[i, self._observed[i]]
            if allowed is not None:
                seen = {"observation": seen, "action_mask": allowed[i, self._existing[i]]}
            observations[agent] = seen
            infos[agent] = {"state": self._state[i].copy()}
        return observations, infos

    def state(self) -> np.ndarray:
        """The states of all agents side by side, `[N·D]`."""
        self._require_reset("state")
        return self._state.flatten()

    def render(self) -> np.ndarray | None:
        """A picture of the present state, `[height, width, 3]` uint8; None if not rendered."""
        if self.render_mode is None:
            return None
        self._require_reset("render")
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self.env.draw())  # type: ignore[operator]
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _require_reset(self, what: str) -> None:
        require(hasattr(self, "_state"), f"{what}() comes after the first reset()")

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _action_space(actions: Actions, agent: int) -> spaces.Space:
    """The actions of one agent, without fixed components."""
    if isinstance(actions, MultiChoices):
        return spaces.MultiDiscrete(actions.counts[agent].tolist())
    if not isinstance(actions, Box):
        return spaces.Discrete(actions.width)
    free = actions.free[agent]
    low, high = (bound[agent, free].float().numpy() for bound in (actions.low, actions.high))
    return spaces.Box(low, high, dtype=np.float32)


def _box(size: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def main(name: str = "encircle") -> None:
    """Print the spaces of an environment and run PettingZoo's tests on it."""
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    print(__doc__)
    env = as_pettingzoo(name)
    for agent in env.possible_agents:
        print(f"{agent:<10} {env.observation_space(agent)}  {env.action_space(agent)}")
    parallel_api_test(env, num_cycles=100)
    parallel_seed_test(lambda: as_pettingzoo(name), num_cycles=20)


if __name__ == "__main__":
    run_recipe(lambda: main(*sys.argv[1:]))
