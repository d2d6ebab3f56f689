"""Options of critics that see a part of a large team, or share their first layers."""

from dataclasses import dataclass
from typing import Literal

from ilvf.errors import require
from ilvf.options import Options, option


@dataclass
class NeighbourOptions(Options):
    """How many agents the critic and the credit of an agent see."""

    neighbours: int | None = option(
        None,
        "agents beside the own one that each critic sees and the credit tells apart, the nearest "
        "in the environment's graphs: for large teams; null is all",
        least=1,
    )


@dataclass
class ChoiceOfNeighbours(NeighbourOptions):
    """Who chooses the agents that a critic of values alone sees."""

    neighbours_by: Literal["graph", "attention"] = option(
        "graph",
        "agents that each critic sees: graph, the nearest in the environment's graphs; attention, "
        "those to which it learns to attend, others in every state",
    )

    def check(self) -> None:
        super().check()
        require(
            self.neighbours_by == "graph" or self.neighbours is not None,
            f"neighbours_by={self.neighbours_by} chooses neighbours, of which neighbours=null "
            "makes all; give neighbours=K",
        )
        require(
            self.neighbours_by == "graph" or getattr(self, "critic", None) != "influence",
            f"neighbours_by={self.neighbours_by} is for critics that read states side by side; "
            "critic=influence weighs those of given neighbours",
        )


@dataclass
class LargeTeamOptions(NeighbourOptions):
    """What makes critics of large teams cheaper."""

    shared_first: bool = option(False, "critics share their first layers: for large teams")

    def check(self) -> None:
        super().check()
        require(
            self.neighbours is None or not self.shared_first,
            f"neighbours={self.neighbours} and shared_first=true: critics that share their first "
            "layers see all agents; leave out one of them",
        )
