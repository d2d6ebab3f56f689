"""How the agents of an environment are called in pictures and tables.

An environment may define `agent_names`, a name for each agent, and `agent_word`, what its agents
are: a vehicle, a signal. Without them agents are numbered as in arrays, from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FEW = 12  # agents up to which names may have `LETTERS`, with more `FEWER`
LETTERS = 10
FEWER = 7
SEPARATORS = "_-. #"
DOTS = "…"


@dataclass(frozen=True)
class AgentNames:
    """Names of N agents.

    Attributes:
        names: one an agent.
        word: what an agent is.
    """

    names: tuple[str, ...]
    word: str = "agent"

    def short(self) -> list[str]:
        """Names that fit beside a picture: at most 10 letters, of more than 12 agents 7.

        What all long names begin with is left out up to a separator; then the middle is.
        """
        most = LETTERS if len(self.names) <= FEW else FEWER
        names = list(self.names)
        if max(map(len, names), default=0) > most:
            start = len(common_start(names))
            names = [name[start:] for name in names]
        return [without_middle(name, most) for name in names]


def names_of(env: Any, n: int) -> AgentNames:
    """The names of an environment's N agents; their numbers if it has none."""
    names = tuple(str(name) for name in getattr(env, "agent_names", None) or ())
    word = str(getattr(env, "agent_word", "agent"))
    return AgentNames(names, word) if len(names) == n else numbered(n)


def numbered(n: int) -> AgentNames:
    """N agents without names."""
    return AgentNames(tuple(map(str, range(n))))


def counted_from_1(n: int) -> tuple[str, ...]:
    """`1` to `N`, the names of agents that their task numbers from 1."""
    return tuple(str(i) for i in range(1, n + 1))


def common_start(names: Sequence[str]) -> str:
    """What several names begin with, up to a separator; empty if there is none."""
    if len(names) < 2:
        return ""
    first = min(names)
    last = max(names)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    ends = [place + 1 for place in range(same) if first[place] in SEPARATORS]
    return first[: ends[-1]] if ends and ends[-1] < len(first) else ""


def without_middle(name: str, most: int) -> str:
    """A name of at most `most` letters."""
    if len(name) <= most:
        return name
    end = most // 2
    return name[: most - end - 1] + DOTS + name[-end:]
