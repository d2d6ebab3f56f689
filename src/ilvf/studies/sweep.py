"""A sweep: one algorithm on one task with many combinations of values, as a study.

Every combination is an algorithm of the study. A combination is a mapping key → value.
"""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ilvf.algorithms.options import config_of
from ilvf.errors import require
from ilvf.options import short_names, text_of
from ilvf.studies.description import (
    LONGEST_TITLE,
    Study,
    StudyAlgorithm,
    StudyScale,
    StudyTask,
)
from ilvf.studies.space import Axis, Values

MOST = 1000  # combinations
TELLING = re.compile(r"\w[\w.]*([-+]\w[\w.]*)*", re.ASCII)  # stays different in folders' names
Combination = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """What is swept.

    Attributes:
        recipe: the declared algorithm.
        task: the environment, the keys with one value, the metric and the frames.
        scale: seeds, preset and accelerator.
        axes: the keys with several values.
        sampler: "grid" for all combinations, or the sampler that chooses some.
    """

    recipe: str
    task: StudyTask
    scale: StudyScale
    axes: Sequence[Axis]
    sampler: str = "grid"

    @property
    def name(self) -> str:
        """Algorithm and environment, such as `ilvf_p-encircle`."""
        return f"{self.recipe}-{Path(self.task.env).stem}"

    @property
    def mark(self) -> str:
        """Eight letters that differ between sweeps whose runs must not be mixed.

        They depend on what all combinations of a grid have in common, so that a grid can grow. The
        trials of a sampler also depend on its ranges and seeds.
        """
        parts = [self.recipe, asdict(self.task), self.scale.preset]
        if self.sampler != "grid":
            parts += [self.sampler, str(self.scale.seeds), *map(str, self.axes)]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:8]

    def study(self, combinations: Mapping[str, Combination]) -> Study:
        """The study of some combinations, by title."""
        algorithms = []
        for title, keys in combinations.items():
            algorithms.append(StudyAlgorithm(title=title, recipe=self.recipe, keys=dict(keys)))
        return Study(
            name=self.name,
            scale_name=self.mark,
            title=f"Sweep of {config_of(self.recipe).title} on {self.task.title}",
            about="",
            baseline="",
            panels={"": list(combinations)},
            algorithms=algorithms,
            tasks=[self.task],
            scale=self.scale,
        )

    def grid(self) -> dict[str, Combination]:
        """All combinations, by title.

        Raises:
            UsageError: there is nothing to vary, a range, or too many combinations.
        """
        require_axes(self.axes)
        lists = [axis for axis in self.axes if isinstance(axis, Values)]
        for axis in self.axes:
            require(
                isinstance(axis, Values),
                f"{axis} is a range, which needs sampler=tpe or sampler=random; for a grid, list "
                "the values",
            )
        number = math.prod(len(axis.values) for axis in lists)
        require(number <= MOST, f"the grid has {number} combinations; at most {MOST} are allowed")
        return dict(combinations_of(lists))


def require_axes(axes: Sequence[Axis]) -> None:
    """Raise if nothing is varied."""
    require(
        bool(axes),
        "the sweep has nothing to vary; give a key several values, such as algorithm.tau=0.5,1,2",
    )


def combinations_of(lists: Sequence[Values]) -> Iterator[tuple[str, Combination]]:
    """(title, combination) of all products of the values."""
    keys = [axis.key for axis in lists]
    for values in itertools.product(*(axis.values for axis in lists)):
        combination = dict(zip(keys, values, strict=True))
        yield title_of(combination), combination


def title_of(combination: Combination) -> str:
    """ "tau = 0.5, threshold = 0.2".

    A hash is added where the title would be too long, or not tell values apart in a folder's name.
    """
    names = short_names(list(combination))
    texts = {names[key]: text_of(value) for key, value in combination.items()}
    title = ", ".join(f"{name} = {text}" for name, text in texts.items())
    is_plain = all(TELLING.fullmatch(text) for text in texts.values())
    if is_plain and len(title) <= LONGEST_TITLE:
        return title
    mark = hashlib.sha256(title.encode()).hexdigest()[:8]
    line = "".join(letter if letter.isprintable() else "?" for letter in title)
    return f"{line[: LONGEST_TITLE - 11].strip()} ({mark})"
