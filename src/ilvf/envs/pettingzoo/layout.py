"""Finding a PettingZoo parallel environment by its name, and what it is like, agent by agent. Imports no torch."""

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim
from pettingzoo import AECEnv, ParallelEnv

from ilvf.errors import UsageError, require

CLOCKS = (
    "horizon",
    "max_cycles",
    "max_steps",
    "max_episode_steps",
)  # what environments call their time limit
NEEDED = ("possible_agents", "observation_space", "action_space", "reset", "step")


def make_parallel(task: str | Callable[..., Any], kwargs: Mapping[str, Any]) -> ParallelEnv:
    """The environment that `task` names, `package.module` (its `parallel_env`) or `package.module:function`."""
    function = find(task) if isinstance(task, str) else task
    require(
        callable(function),
        f"{function} is no function; give one that makes the environment, lambda: env",
    )
    try:
        env = function(**kwargs)
    except TypeError as error:
        raise UsageError(
            f"{task} cannot be made with kwargs={dict(kwargs)}: {line(error)}"
        ) from error
    require(
        not isinstance(env, AECEnv),
        f"{task} makes a turn-based AECEnv, need a ParallelEnv; pettingzoo.utils.aec_to_parallel converts some",
    )
    missing = [name for name in NEEDED if not hasattr(env, name)]
    require(
        not missing,
        f"{task} makes a {type(env).__name__} without {', '.join(missing)}; need a PettingZoo ParallelEnv",
    )
    return env


def find(task: str) -> Callable[..., Any]:
    """The function that `package.module` or `package.module:function` names."""
    module, _, function = task.partition(":")
    try:
        home = importlib.import_module(module)
    except ImportError as error:
        lacking = (error.name or module).partition(".")[0]
        if lacking == module.partition(".")[0] and importlib.util.find_spec(lacking) is not None:
            raise UsageError(
                f"there is no {error.name} in the package {lacking} ({line(error)})"
            ) from error
        hint = (
            'pip install "ilvf[mpe]"'
            if lacking == "mpe2"
            else f"pip install {lacking}, or set PYTHONPATH"
        )
        raise UsageError(
            f"{task} needs the package {lacking}, which is not installed: {hint}"
        ) from error
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"task={task!r} is no module; write package.module, or package.module:function"
        ) from error
    require(
        hasattr(home, function or "parallel_env"),
        f"{module} has no {function or 'parallel_env'}; write package.module, or package.module:function",
    )
    return getattr(home, function or "parallel_env")


# ---------------------------------------------------------------------- what an environment is like
@dataclass(frozen=True)
class Agent:
    """One agent's sizes, and how its observation becomes numbers."""

    name: str
    space: spaces.Space  # of what is observed, without a mask
    size: int  # numbers in an observation
    state: int  # numbers in infos["state"], 0 = there is none
    actions: int
    start: int  # the first action's number
    mask_in: str  # where its action mask is: "observation", "info", or "" for nowhere


@dataclass(frozen=True)
class Layout:
    """What is known of an environment after its first reset."""

    agents: tuple[Agent, ...]
    global_state: int  # numbers in state(), 0 = not wanted
    horizon: int | None  # its own time limit, where it tells
    statistics: tuple[str, ...] = ()  # what its episode_statistics() are called, where it has any

    @property
    def masked(self) -> bool:
        """Some action is impossible for some agent at some time."""
        return any(a.mask_in for a in self.agents) or len({a.actions for a in self.agents}) > 1

    def sizes(self) -> tuple[int, int, int, int]:
        """(N, Do, D, A): agents, and the widest observation, state and number of actions."""
        widest = [
            max(column)
            for column in zip(*((a.size, a.state, a.actions) for a in self.agents), strict=True)
        ]
        return len(self.agents), widest[0], widest[1] or widest[0], widest[2]


def layout_of(env: ParallelEnv, infos: Mapping[str, Any], global_state: bool) -> Layout:
    """Read off the spaces, and the infos of a first reset."""
    agents = tuple(_agent(env, name, infos.get(name, {})) for name in env.possible_agents)
    without = [a.name for a in agents if not a.state]
    require(
        len(without) in (0, len(agents)),
        f'infos have a "state" for some agents, and none for {listed(without)}; give all one, or none',
    )
    whole = 0
    if global_state:
        require(hasattr(env, "state_space"), f"global_state=true, but {env} has no state_space")
        whole = flatdim(env.state_space)
    clocks = [getattr(env.unwrapped, name, None) for name in CLOCKS]
    horizon = next((int(c) for c in clocks if isinstance(c, int | np.integer) and c > 0), None)
    statistics = tuple(env.episode_statistics()) if hasattr(env, "episode_statistics") else ()
    return Layout(agents, whole, horizon, statistics)


def _agent(env: ParallelEnv, name: str, info: Mapping[str, Any]) -> Agent:
    action, space = env.action_space(name), env.observation_space(name)
    require(
        isinstance(action, spaces.Discrete),
        f"{name} has actions {action}, need Discrete: this library's actors choose one of several",
    )
    mask_in = "info" if "action_mask" in info else ""
    if isinstance(space, spaces.Dict) and {"observation", "action_mask"} <= set(space):
        space, mask_in = space["observation"], "observation"
    require(
        space.is_np_flattenable, f"{name} observes {space}, which does not flatten into numbers"
    )
    state = np.asarray(info["state"]).size if "state" in info else 0
    return Agent(name, space, flatdim(space), state, int(action.n), int(action.start), mask_in)


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names))) or "nobody"


def line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
