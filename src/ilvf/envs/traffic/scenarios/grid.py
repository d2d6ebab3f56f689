"""A square grid of signals: the names, places and roads of `large_grid`."""

from collections.abc import Iterator
from dataclasses import dataclass

BLOCK = 200  # [m] between signals
STUB = 75  # [m] from the outermost signals to the border
STREET = {"id": "a", "priority": 2, "numLanes": 2, "speed": 20}  # east-west; speed [m/s]
AVENUE = {"id": "b", "priority": 1, "numLanes": 1, "speed": 11}  # north-south

Place = tuple[int, int]  # (column, row) of the grid; -1 and `side` are the border


@dataclass(frozen=True)
class Grid:
    """The geometry of side × side signals and of the border around them.

    Attributes:
        side: signals in a row.
    """

    side: int

    def name(self, place: Place) -> str:
        """The id of a place.

        Signals are nt1, nt2, ..., row by row from the south-west. Border nodes are np1, np2, ...:
        south, east, north, west.
        """
        column, row = place
        if row == -1:
            return f"np{column + 1}"
        if column == self.side:
            return f"np{self.side + row + 1}"
        if row == self.side:
            return f"np{3 * self.side - column}"
        if column == -1:
            return f"np{4 * self.side - row}"
        return f"nt{self.side * row + column + 1}"

    def position(self, place: Place) -> tuple[int, int]:
        """(x, y) [m] of a place, with the south-western signal at the origin."""
        column, row = place
        return self.coordinate(column), self.coordinate(row)

    def coordinate(self, k: int) -> int:
        """x [m] of a column, or y of a row."""
        if k == -1:
            return -STUB
        if k == self.side:
            return BLOCK * (self.side - 1) + STUB
        return BLOCK * k

    def signals(self) -> list[Place]:
        """The places of all signals."""
        return [(column, row) for row in range(self.side) for column in range(self.side)]

    def is_signal(self, place: Place) -> bool:
        """Is it not on the border?"""
        return all(0 <= k < self.side for k in place)

    def border(self) -> list[Place]:
        """The places on the border."""
        near = {place for signal in self.signals() for place in around(signal)}
        return sorted(place for place in near if not self.is_signal(place))

    def roads(self) -> Iterator[tuple[Place, Place, dict]]:
        """(from, to, STREET or AVENUE) of every one-way road."""
        for signal in self.signals():
            for k, other in enumerate(around(signal)):
                kind = STREET if k % 2 else AVENUE
                yield other, signal, kind
                if not self.is_signal(other):
                    yield signal, other, kind

    def edge(self, start: Place, end: Place) -> str:
        """The id of a road."""
        return f"{self.name(start)}_{self.name(end)}"

    def lanes(self) -> list[str]:
        """The approach lanes of all signals."""
        found = []
        for start, end, kind in self.roads():
            if self.is_signal(end):
                found += [f"{self.edge(start, end)}_{k}" for k in range(kind["numLanes"])]
        return found

    def entry(self, place: Place) -> str:
        """The road that enters the grid at a place of the border."""
        return self.edge(place, self._inside(place))

    def exit(self, place: Place) -> str:
        """The road that leaves the grid at a place of the border."""
        return self.edge(self._inside(place), place)

    def _inside(self, place: Place) -> Place:
        """The signal beside a place of the border."""
        column, row = place
        return min(max(column, 0), self.side - 1), min(max(row, 0), self.side - 1)


def around(place: Place) -> tuple[Place, Place, Place, Place]:
    """The places north, east, south and west of a signal."""
    column, row = place
    return (column, row + 1), (column + 1, row), (column, row - 1), (column - 1, row)
