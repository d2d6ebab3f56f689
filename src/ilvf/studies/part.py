"""The part of a study that a call runs: some of its tasks, algorithms and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ilvf.errors import require
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import nearest, one_line, shown
from ilvf.studies.description import Study
from ilvf.studies.plan import PlannedRun


@dataclass(frozen=True)
class Part:
    """What a call runs; None stands for all.

    Attributes:
        tasks, algorithms: titles.
        seeds: those of its runs.
    """

    tasks: Sequence[str] | None = None
    algorithms: Sequence[str] | None = None
    seeds: Sequence[int] | None = None

    def has(self, run: PlannedRun) -> bool:
        """Does a run belong to the part?"""
        wanted = (self.tasks, self.algorithms, self.seeds)
        return all(kept is None or item in kept for item, kept in zip(run.key, wanted, strict=True))


def part_of(study: Study, tasks: Any, algorithms: Any, seeds: str | None) -> Part:
    """The part of a study that the values of a command line choose.

    Args:
        study: at its scale.
        tasks: names, titles or their beginnings: a list, or words with commas between them; None
            for all.
        algorithms: the same, of algorithms.
        seeds: such as `10-12`; None for all.

    Raises:
        UsageError: a word fits nothing or several things, the scale does not have a seed, or no
            run is left.
    """
    task_names = {name: task.title for task in study.tasks for name in (task.name, task.title)}
    titles = {algorithm.title: algorithm.title for algorithm in study.algorithms}
    part = Part(
        tasks=None if tasks is None else chosen("tasks", tasks, task_names),
        algorithms=None if algorithms is None else chosen("algorithms", algorithms, titles),
        seeds=None if seeds is None else seeds_of(study, seeds),
    )
    kept = [
        algorithm
        for task in study.tasks
        if part.tasks is None or task.title in part.tasks
        for algorithm in study.algorithms_of(task)
        if part.algorithms is None or algorithm.title in part.algorithms
    ]
    require(bool(kept), "the chosen algorithms do not run on the chosen tasks; choose others")
    return part


def chosen(key: str, given: Any, known: Mapping[str, str]) -> list[str]:
    """The titles that a value names.

    Titles can have commas, so the whole value is tried before its parts.

    Args:
        key: of the command line.
        given: its value.
        known: name → title; a title is a name too.
    """
    if isinstance(given, str):
        words = [given] if matches(given, known) else given.split(",")
    else:
        words = list(given) if isinstance(given, Sequence) else [given]
    require(bool(words), f"{key}=[] chooses nothing; leave it out for all")
    return [title_of(key, str(word).strip(), known) for word in words]


def title_of(key: str, word: str, known: Mapping[str, str]) -> str:
    """The title of the name that is, or alone begins with, a word."""
    found = matches(word, known)
    shortest = {title: name for name, title in reversed(list(known.items()))}
    require(
        bool(found),
        f"{key}={one_line(word)} is not known; choose from {', '.join(reversed(shortest.values()))}"
        f"{nearest(word, list(known))}",
    )
    require(
        len(found) == 1,
        f"{key}={one_line(word)} can be {' or '.join(found)}; write more of it",
    )
    return found[0]


def matches(word: str, known: Mapping[str, str]) -> list[str]:
    """The titles whose name is a word or, if none is, begins with it; upper case does not count."""
    small = word.strip().lower()
    same = [title for name, title in known.items() if name.lower() == small]
    if not same and small:
        same = [title for name, title in known.items() if name.lower().startswith(small)]
    return list(dict.fromkeys(same))


def seeds_of(study: Study, text: str) -> list[int]:
    """The seeds of a text, which the scale must have."""
    seeds = parse_seeds(text)
    known = parse_seeds(study.scale.seeds)
    foreign = [seed for seed in seeds if seed not in known]
    require(
        not foreign,
        f"seeds={one_line(text)}: the scale {shown(study.scale_name)} has the seeds "
        f"{study.scale.seeds}; choose from them",
    )
    return seeds
