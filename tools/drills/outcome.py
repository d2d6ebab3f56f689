"""What a drill is given, and what it finds."""

import random
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class NotPossible(Exception):
    """This machine does not allow a fault, for example because it needs root."""


@dataclass(frozen=True)
class Setting:
    """What all drills share.

    Attributes:
        folder: temporary folder for everything that the drills make.
        seed: of the random moments and choices.
        sizes: name of a size → its value: kills, files, inputs, real_inputs, soak_minutes.
    """

    folder: Path
    seed: int
    sizes: Mapping[str, float]

    def rng(self, title: str) -> random.Random:
        """Random numbers of one drill, which do not depend on the drills before it."""
        return random.Random(f"{self.seed} {title}")

    def some(self, title: str, cases: Iterable[T]) -> list[T]:
        """As many of the cases as the size `files` says, or all if it is 0."""
        found = list(cases)
        number = int(self.sizes["files"])
        return self.rng(title).sample(found, min(number, len(found))) if number else found

    def new_folder(self, name: str) -> Path:
        """An empty folder `name` below the temporary folder."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True)
class Drill:
    """One line of the table.

    Attributes:
        title: what is done.
        run: does it, and records what it finds.
        cases: how many cases it has, from the sizes.
        seconds: that a case takes on one core, for the time left.
    """

    title: str
    run: Callable[[Setting, "Record"], None]
    cases: Callable[[Mapping[str, float]], int]
    seconds: float


@dataclass
class Record:
    """What a drill has found so far.

    Attributes:
        tried: cases begun.
        failed: cases with at least one problem.
        lost: logged or checkpointed iterations or metrics that are missing or doubled.
        problems: one line each, with the command or file that reproduces it.
        notes: facts that are no failures.
        progress: called at the begin of every case.
        finished_after: seconds that the whole drill took.
    """

    title: str
    progress: Callable[["Record"], None]
    tried: int = 0
    failed: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    case: str = ""
    started: float = field(default_factory=time.monotonic)
    finished_after: float = 0.0
    _marked: bool = False

    def begin(self, case: str) -> None:
        """A new case; later problems belong to it."""
        self.case = case
        self.tried += 1
        self._marked = False
        self.progress(self)

    def require(self, condition: bool, problem: str) -> bool:
        """Record a problem of this case unless `condition` holds; returns it."""
        if not condition:
            self.problems.append(f"{self.case}: {problem}")
            self.failed += not self._marked
            self._marked = True
        return condition

    def lose(self, count: int, problem: str) -> None:
        """Record that `count` iterations or metrics are missing or doubled."""
        self.lost += count
        self.require(count == 0, problem)

    @property
    def failing(self) -> bool:
        """Has this case a problem?"""
        return self._marked

    @property
    def seconds(self) -> float:
        """Since the drill began [s]."""
        return time.monotonic() - self.started
