"""Environments of other libraries: VMAS, PettingZoo and Gymnasium."""

from dataclasses import dataclass
from typing import Any

from ilvf.envs.options.registry import environment
from ilvf.options import Options, option

KNOWN_PACKAGES = ("mpe2", "pettingzoo", "gymnasium_robotics")  # of tasks that a checkpoint may name
GYMNASIUM_PACKAGES = {"Foraging": "lbforaging", "rware": "rware"}  # first word of a name → package


@environment(
    "vmas",
    "ilvf.envs.vmas.env:Vmas",
    contract={"task": "navigation", "kwargs": {"n_agents": 3, "shared_rew": False}},
    needs="ilvf.envs.vmas.making:require_vmas",
)
@dataclass
class VmasOptions(Options):
    """A scenario of VMAS: robots in the plane, simulated as one batch."""

    task: str = option("navigation", "name of the scenario: navigation, balance, transport, ...")
    kwargs: dict[str, Any] = option(
        {}, "the scenario's arguments: env.kwargs.n_agents=5, or env.kwargs='{shared_rew: false}'"
    )
    horizon: int = option(100, "steps of an episode", least=1)


def is_known_task(task: object) -> bool:
    """Is this a module of a known package, whose `parallel_env` is called?"""
    parts = str(task).split(".")
    return parts[0] in KNOWN_PACKAGES and all(part.isidentifier() for part in parts)


@dataclass
class StepperOptions(Options):
    """How copies of an environment of another library are stepped."""

    horizon: int | None = option(None, "steps of an episode; null: the task's own limit", least=1)
    workers: int = option(
        0, "child processes that step the copies; 0 steps them in the run's process", least=0
    )
    timeout: float = option(
        120.0,
        "seconds that a worker may take for a step or reset; it may start for 300 s",
        above=0,
        most=10**6,
    )
    entities: int = option(
        16, "entities to which a Sequence space in an observation is padded", least=1, most=10_000
    )


@environment(
    "pettingzoo",
    "ilvf.envs.pettingzoo.env:PettingZoo",
    needs="ilvf.envs.pettingzoo.tasks:require_task",
)
@dataclass
class PettingZooOptions(StepperOptions):
    """Any PettingZoo parallel environment."""

    task: str = option(
        "mpe2.simple_spread_v3",
        "package.module, whose parallel_env is called, or package.module:function",
        confirm="imports code",
        harmless=is_known_task,
    )
    kwargs: dict[str, Any] = option(
        {}, "the task's arguments: env.kwargs.N=5, or env.kwargs='{N: 5, local_ratio: 0.2}'"
    )
    dying: bool = option(False, "agents may end before others do")
    global_state: bool = option(False, "add state() to what a rollout keeps, under global_state")


def is_known_name(task: object) -> bool:
    """Is this a name that a known package registers in Gymnasium?"""
    return str(task).partition("-")[0] in GYMNASIUM_PACKAGES and ":" not in str(task)


@environment(
    "gymnasium",
    "ilvf.envs.gymnasium.env:Gymnasium",
    needs="ilvf.envs.gymnasium.parallel:require_task",
)
@dataclass
class GymnasiumOptions(StepperOptions):
    """A Gymnasium environment of a team: tuples of spaces, a list of rewards."""

    task: str = option(
        "Foraging-8x8-2p-3f-v3",
        "a name registered in Gymnasium, or package.module:NAME",
        confirm="imports code",
        harmless=is_known_name,
    )
    kwargs: dict[str, Any] = option(
        {}, "the environment's arguments: env.kwargs.sight=2, or env.kwargs='{sight: 2}'"
    )
