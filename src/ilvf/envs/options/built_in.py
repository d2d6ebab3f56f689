"""Environments of this package: the paper's Encircle, predators and CACC, and tabular games."""

from dataclasses import dataclass
from typing import Any, Literal

from ilvf.envs.options.registry import environment
from ilvf.options import Options, option

MOST_AGENTS = 10_000


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
