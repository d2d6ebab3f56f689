"""What every environment can be told, and the registry of environments; imports nothing heavy.

An environment is declared once, by `@environment(NAME, "module:function")` on the dataclass of its
options. `make_env`, the command line, the contract tests and the documentation find it there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ilvf.errors import require
from ilvf.options import Options, nearest, option
from ilvf.plugins import ENVIRONMENTS as PLUGINS
from ilvf.plugins import is_reference, registered


@dataclass(frozen=True)
class Declaration:
    """Where an environment is.

    Attributes:
        options: dataclass of its options.
        make: "module:callable", called with the options, `num_envs`, `seed` and `device`.
        contract: options of a small instance that the contract tests run; None for an environment
            that needs a simulator or an external task.
        needs: "module:function", called with the options, which raises `UsageError` if this machine
            lacks a package or a file that the environment needs; None if it needs none.
    """

    options: type[Options]
    make: str
    contract: Mapping[str, Any] | None = field(default=None)
    needs: str | None = None


KNOWN_PACKAGES = ("mpe2", "pettingzoo", "gymnasium_robotics")  # of tasks that a checkpoint may name
GYMNASIUM_PACKAGES = {"Foraging": "lbforaging", "rware": "rware"}  # first word of a name → package
MOST_AGENTS = 10_000
ENVIRONMENTS: dict[str, Declaration] = {}
O = TypeVar("O", bound=type[Options])


def environment(
    name: str,
    make: str,
    contract: Mapping[str, Any] | None = None,
    needs: str | None = None,
) -> Callable[[O], O]:
    """Declare the environment `name`; see `Declaration`."""

    def register(options: O) -> O:
        ENVIRONMENTS[name] = Declaration(options, make, contract, needs)
        return options

    return register


def classes() -> dict[str, list[str]]:
    """Module → environment classes that it defines, of all declared environments."""
    found: dict[str, list[str]] = {}
    for declared in ENVIRONMENTS.values():
        module, _, name = declared.make.partition(":")
        if name[0].isupper():
            found.setdefault(module, []).append(name)
    return found


def declaration_of(name: str) -> Declaration:
    """The declaration of an environment.

    Raises:
        UsageError: no environment has this name.
    """
    known = list(ENVIRONMENTS)
    require(
        name in ENVIRONMENTS,
        f"env={name!r} is not known; choose one of {', '.join(known)}{nearest(name, known)}",
    )
    return ENVIRONMENTS[name]


@environment("encircle", "ilvf.envs.encircle.env:Encircle", contract={"n_agents": 6})
@dataclass
class EncircleOptions(Options):
    """MPE Encircle: agents surround a target in ring order."""

    n_agents: int = option(20, "agents, an even number of at least 4", most=MOST_AGENTS)
    n_obstacles: int = option(0, "discs in the way; the paper has some, taken as 3", least=0)
    angle: Literal["signed", "unsigned"] = option(
        "signed", "angle to the neighbour's own side, or unsigned, the literal reading of eq. 18"
    )
    horizon: int = option(50, "steps of an episode", least=1)
    continuous: bool = option(False, "an action is a force within ±5 N on each axis")


@environment("capture_prey", "ilvf.envs.capture_prey.env:CapturePrey", contract={})
@dataclass
class CapturePreyOptions(Options):
    """Predator Capture Prey: some agents see, others capture."""

    n_perception: int = option(
        4, "agents that see the cells around them and cannot capture", least=0
    )
    n_action: int = option(4, "agents that capture and see nothing", least=0)
    dim: int = option(10, "side of the grid [cells]", least=2)
    vision: int = option(2, "how far perception agents see in every direction [cells]", least=0)
    mode: Literal["mixed", "cooperative", "competitive"] = option(
        "mixed",
        "reward on the prey: mixed 0, cooperative 0.05 × and competitive 0.05 / agents there",
    )
    graph: Any = option(
        "paired", "who hears whom: paired, bipartite_pairs, full, none, or a matrix"
    )
    n_prey: int = option(1, "prey; agents can capture any of them", least=1)
    prey_policy: Literal["fixed", "random"] = option(
        "fixed", "fixed, or random: prey walk until an agent has reached them"
    )
    encoding: Literal["compact", "reference"] = option(
        "compact", "of what agents see; reference: the window of the published environment"
    )
    action_vision: int = option(-1, "how far action agents see [cells]; -1 for blind", least=-1)
    leak: bool = option(
        False, "blind agents as the published environment does, which blinds perception agents too"
    )
    second_reward_scheme: bool = option(
        False, "-0.025 instead of -0.05 for action agents on the prey that have not captured"
    )
    horizon: int = option(80, "steps of an episode", least=1)


@environment("cacc", "ilvf.envs.cacc.env:CACC", contract={})
@dataclass
class CACCOptions(Options):
    """CACC: a platoon of vehicles that keeps its distance."""

    scenario: Literal["catch-up", "slow-down"] = option(
        "catch-up", "catch-up: the first vehicle is too far behind; slow-down: all are too fast"
    )
    n_agents: int = option(8, "vehicles", least=1, most=MOST_AGENTS)
    observe_neighbors: bool = option(True, "observe the vehicles in front and behind too")
    collision_rule: Literal["reference", "pay_to_horizon", "stop"] = option(
        "reference",
        "after a collision the episode ends with its block (reference), never, or at once",
    )
    collision_penalty: float = option(
        1000.0, "what every vehicle pays in each step after a collision", least=0
    )
    collision_check_every: int = option(60, "steps of a block, under the rule reference", least=1)
    soft_penalty: float = option(
        5.0, "weight of min(headway - 10 m, 0)² in training; evaluations are without it", least=0
    )
    action_repeat: int = option(1, "steps for which an action is held", least=1)
    ratio: Any = option(
        None, "initial headway or speed ÷ the wanted one: null (1.5-2.5), number(s), or evaluation"
    )
    target_headway: float = option(20.0, "headway that every vehicle wants [m]", above=1, most=1000)
    target_speed: float = option(
        15.0, "speed that every vehicle wants and the lead keeps [m/s]", above=0, most=30
    )
    horizon: int = option(600, "steps of 0.1 s of an episode", least=1)


@environment("tabular", "ilvf.envs.tabular.env:Tabular", contract={"game": "switch", "n_agents": 4})
@dataclass
class TabularOptions(Options):
    """A small game given by tables, with known influence."""

    game: str = option(
        "chain",
        "chain, star, pairs, switch, common_cause, xor, matching, gifts, hidden_pairs or random",
    )
    n_agents: int = option(3, "2 to 8 agents; common_cause has 3, xor 2")
    horizon: int = option(20, "steps of an episode", least=1)
    game_seed: int = option(0, "draws the tables of hidden_pairs and random", least=0)


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


# ---------------------------------------------------------------------- environments of a user
OWN = "torchrl"


def is_registered_task(task: object) -> bool:
    """Is this the name of an entry point, or what one refers to?"""
    known = registered(PLUGINS)
    return task in known or task in known.values()


@environment(OWN, "ilvf.envs.own:own_env")
@dataclass
class OwnOptions(Options):
    """Any TorchRL environment; env=package.module:function is short for it."""

    task: str = option(
        "",
        "package.module:function, called with num_envs, seed and device, or a registered name",
        confirm="imports code",
        harmless=is_registered_task,
    )
    kwargs: dict[str, Any] = option({}, "more arguments of the function: env.kwargs.rooms=6")
    horizon: int | None = option(
        None, "steps of the longest evaluation; null: the environment's own horizon", least=1
    )


def expanded(given: Mapping[str, str]) -> dict[str, str]:
    """Arguments in which `env=package.module:function`, or a registered name, is `env=torchrl`.

    Args:
        given: key → text of a command line; no file may name code in this way.

    Raises:
        UsageError: `env.task` is given too.
    """
    word = given.get("env", "")
    if word in ENVIRONMENTS or not (is_reference(word) or word in registered(PLUGINS)):
        return dict(given)
    require(
        given.get("env.task", word) == word,
        f"env={word} and env.task={given.get('env.task')} are different tasks; leave out one",
    )
    return {**given, "env": OWN, "env.task": word}


# ---------------------------------------------------------------------- traffic signals on SUMO
@dataclass
class ReadingOptions(Options):
    """How a road network is read."""

    table: str | None = option(
        None,
        "JSON file with phases, neighbours and extensions instead of the derived ones",
        path=True,
    )
    add_protected: bool = option(
        False, "offer the links that give way in a phase also alone, as one more phase"
    )
    max_edges: int = option(3, "signals are neighbours over at most so many edges", least=1)
    max_distance: float = option(200.0, "and so many metres", least=0)
    cover: float = option(
        50.0, "approach lanes shorter than this [m] count with the lanes before them", least=0
    )


@dataclass
class SignalOptions(Options):
    """What signals see and pay for, and how SUMO is run."""

    per: Literal["link", "lane"] = option(
        "link", "list and sum waves and rewards over links, as published, or lanes"
    )
    reward: Literal["queue", "wait", "pressure"] = option(
        "queue", "queue (halting vehicles), wait (their waiting time) or pressure"
    )
    reward_cap: float | None = option(
        None, "most vehicles that a link or lane pays for in queue; null for all", above=0
    )
    reward_backlog: bool = option(
        False, "queue also counts vehicles that wait outside the network for room"
    )
    reward_scale: float = option(1.0, "factor of the rewards")
    link_queue: bool = option(
        False, "also measure the queue as published: vehicles per link in every simulation step"
    )
    observe_neighbors: bool = option(True, "observe the neighbours' waves too")
    lane_noise: bool = option(
        False,
        "every lane has random numbers of its own, so that what one signal does changes no luck "
        "elsewhere; `ilvf audit` and `ilvf influence` set it",
    )
    control_interval: float = option(5.0, "seconds of a step", least=0.001)
    yellow: float = option(2.0, "seconds of it for the transition between phases", least=0)
    seconds: float = option(3600.0, "seconds of an episode", above=0, most=10**9)
    teleport: float = option(
        600.0,
        "seconds after which SUMO takes a vehicle out of a jam; -1 for never",
        least=-1,
        most=10**9,
    )
    options: Any = option(
        None,
        "more of SUMO's command line, such as '--step-length 0.5'",
        confirm="can make SUMO write files",
    )
    simulator: Literal["libsumo", "traci", "gui"] = option(
        "libsumo", "libsumo, traci, or gui, which opens SUMO's window"
    )
    tripinfo: str | None = option(
        None,
        "folder for SUMO's records of finished trips",
        confirm="names files that are written",
        path=True,
    )
    timeout: float = option(
        60.0,
        "seconds that a simulator may take for a step or reset; it may start for 300 s",
        above=0,
        most=10**6,
    )
    attempts: int = option(3, "episodes in a row in which a simulator may fail", least=1)

    @property
    def episode_steps(self) -> int:
        """Steps of an episode; the part of a step at its end is left out."""
        steps = round(self.seconds / self.control_interval, 6)  # 1 s / 0.1 s is 10 steps
        return math.floor(steps)

    def check(self) -> None:
        super().check()
        interval = self.control_interval
        require(
            self.yellow < interval,
            f"yellow={self.yellow:g} must be shorter than control_interval={interval:g} s",
        )
        require(
            self.episode_steps >= 1,
            f"seconds={self.seconds:g} must be at least one step of {interval:g} s",
        )
        require(
            self.reward == "queue" or not self.reward_backlog,
            f"reward_backlog=true is for reward=queue, not {self.reward}",
        )


@dataclass
class CopyOptions(Options):
    """How copies of a simulator are spread."""

    workers: int = option(0, "processes beside the simulators that step the copies", least=0)


TRAFFIC = "ilvf.envs.traffic.batched"


@environment("large_grid", f"{TRAFFIC}:large_grid_signals", needs=f"{TRAFFIC}:require_large_grid")
@dataclass
class LargeGridOptions(CopyOptions, SignalOptions):
    """Traffic signals of a 5 × 5 grid on SUMO; train with preset=traffic."""


@environment("monaco", f"{TRAFFIC}:monaco_signals", needs=f"{TRAFFIC}:require_monaco")
@dataclass
class MonacoOptions(CopyOptions, SignalOptions, ReadingOptions):
    """Traffic signals of Monaco on SUMO; train with preset=traffic."""

    net_file: str | None = option(
        None,
        "most.net.xml; null: where python -m ilvf.envs.traffic.scenarios.monaco --download puts it",
        path=True,
    )
    table: str | None = option(
        "published",
        "published, derived (also null), or a JSON file with phases, neighbours and extensions",
        path=True,
    )
    reward_cap: float | None = option(
        10.0, "most vehicles that a link or lane pays for in queue; null for all", above=0
    )


@environment("sumo", f"{TRAFFIC}:sumo_signals")
@dataclass
class SumoOptions(CopyOptions, SignalOptions, ReadingOptions):
    """The signals of any SUMO network; train with preset=traffic."""

    net_file: str | None = option(None, "the network, NAME.net.xml", path=True)
    routes: Any = option(None, "its traffic: a file, or several, [a.rou.xml, b.rou.xml]", path=True)
    additional: Any = option(
        None,
        "more files of SUMO, such as detectors",
        confirm="can make SUMO write files",
        path=True,
    )
    detectors: bool = option(
        False, "signals see what the lane-area detector with the id of each lane sees"
    )
