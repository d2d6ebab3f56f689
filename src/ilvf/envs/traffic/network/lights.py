"""What a net file says about one traffic light: its links, its program, which links exclude each other.

Letters of a state, one a link: `G` green, `g` green but gives way, `y` yellow, `r` red, `u` red and yellow.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

GREEN = "Gg"
CHANGING = "yYu"  # a state with one of these is on its way to the next
OPEN = "GgsoO"  # somebody may pass, be it after a stop


@dataclass(frozen=True, eq=False)
class Light:
    """One traffic light of a net file."""

    id: str
    connections: tuple[
        Any, ...
    ]  # sumolib's, by link index; pedestrians' crossings are not among them
    states: tuple[str, ...]  # of its program, in order; () if it has none

    @property
    def width(self) -> int:
        """Letters of a state."""
        return (
            len(self.states[0])
            if self.states
            else 1 + max(c.getTLLinkIndex() for c in self.connections)
        )

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """The letters of a state that are links', not pedestrians' crossings."""
        return tuple(dict.fromkeys(c.getTLLinkIndex() for c in self.connections))

    @cached_property
    def nodes(self) -> tuple[Any, ...]:
        """The junctions it controls."""
        return tuple(dict.fromkeys(c.getJunction() for c in self.connections))

    @property
    def position(self) -> tuple[float, float]:
        """The middle of its junctions [m]."""
        x, y = zip(*(node.getCoord() for node in self.nodes), strict=True)
        return sum(x) / len(x), sum(y) / len(y)

    @cached_property
    def foes(self) -> dict[tuple[int, int], str]:
        """Pairs of link indices that exclude each other within one junction → `merge` or `cross`."""
        found = {}
        for node in self.nodes:
            rows, matrix = _requests(node), node._foes
            own = [c for c in rows if c.getTLSID() == self.id]
            for a in own:
                for b in own:
                    row, k = matrix.get(rows[a], ""), rows[b]
                    pair = (a.getTLLinkIndex(), b.getTLLinkIndex())
                    if pair[0] < pair[1] and row[len(row) - 1 - k : len(row) - k] == "1":
                        found[pair] = "merge" if a.getToLane() is b.getToLane() else "cross"
        return found


def _requests(node: Any) -> dict[Any, int]:
    """Connection → its row in the junction's matrices: lane by lane, as netconvert writes both."""
    incoming = {lane.getID(): lane for edge in node.getIncoming() for lane in edge.getLanes()}
    lanes = [
        incoming[i] for i in node._incLanes or () if i in incoming
    ]  # others are pedestrians' areas
    return {c: k for k, c in enumerate(c for lane in lanes for c in lane.getOutgoing())}


def green_phases(light: Light, add_protected: bool = False) -> tuple[str, ...]:
    """The program's states with a green and no yellow, in order, without those that show every link what another shows.

    `add_protected`: each is followed by one in which its `g` links alone are `G`, if it has any beside a `G`.
    """
    green = [s for s in light.states if set(s) & set(GREEN) and not set(s) & set(CHANGING)]
    if add_protected:
        green = [p for s in green for p in ((s, _protected(s)) if {"G", "g"} <= set(s) else (s,))]
    distinct = dict[str, str]()
    for state in green:  # others differ in what they show to pedestrians
        distinct.setdefault("".join(state[k] for k in light.indices), state)
    return tuple(distinct.values())


def _protected(state: str) -> str:
    return "".join({"g": "G", "G": "r"}.get(letter, letter) for letter in state)


def complaints(light: Light, phases: tuple[str, ...]) -> list[str]:
    """What is odd about phases as offered: two `G` that exclude each other, links that never open."""
    found = []
    for phase in phases:
        for kind in ("cross", "merge"):
            pairs = [
                (a, b)
                for (a, b), k in light.foes.items()
                if k == kind and phase[a] == phase[b] == "G"
            ]
            if pairs:
                listed = ", ".join(f"{a} and {b}" for a, b in sorted(pairs))
                found.append(f"phase {phase} is G for links that {kind}: {listed}")
    never = [k for k in light.indices if not any(phase[k] in OPEN for phase in phases)]
    if never:
        found.append(f"links that no phase opens: {', '.join(map(str, never))}")
    return found
