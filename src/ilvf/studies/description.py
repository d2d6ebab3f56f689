"""What a study consists of: typed options, read from one yaml file.

    title: ILVF-P and MAPPO
    baseline: MAPPO
    algorithms:
      - recipe: mappo
      - title: ILVF-P, τ = 0.5
        recipe: ilvf_p
        keys: {algorithm.tau: 0.5}
    tasks:
      - title: Encircle, 10 agents
        env: encircle
        keys: {env.n_agents: 10}
        frames: 100000
    scales:
      smoke: {seeds: 0-1, frames: 800}
      cpu: {seeds: 0-4}

`ilvf/experiment/configs/study` has the studies that are shipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ilvf.algorithms.options import config_of
from ilvf.errors import UsageError, require
from ilvf.experiment.config import environment_of, overlay_of
from ilvf.experiment.schema import flatten
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import Options, configure, nearest, one_line, option, shown

LONGEST_TITLE = 80
T = TypeVar("T", bound=Options)


@dataclass
class StudyAlgorithm(Options):
    """An algorithm of a study."""

    title: str = option("", "name in figures, tables and MLflow; empty for the recipe's own")
    recipe: str = option("", "declared algorithm")
    keys: dict[str, Any] = option({}, "config keys that differ from the recipe's defaults")

    def check(self) -> None:
        super().check()
        require(bool(self.recipe), "an algorithm has no recipe; write recipe: mappo")
        self.title = self.title or config_of(self.recipe).title
        require_title(self.title)


@dataclass
class StudyTask(Options):
    """A task of a study."""

    title: str = option("", "name in figures and tables")
    env: str = option("", "declared environment, or an overlay of one")
    keys: dict[str, Any] = option(
        {}, "config keys, for the algorithms that have them: env.*, algorithm.*, trainer.*"
    )
    metric: str = option("reward/agent_step", "any logged metric")
    better: Literal["higher", "lower"] = option("higher", "which values of the metric are better")
    worst: float | None = option(
        None, "value with the score 0, such as a random team's; null for the worst run's"
    )
    best: float | None = option(None, "value with the score 1; null for the best run's")
    frames: int = option(100_000, "environment frames of a run", least=1)
    algorithms: list[str] = option([], "titles of the algorithms; empty for all")

    def check(self) -> None:
        super().check()
        require(bool(self.env), f"the task {shown(self.title)} has no env; write env: encircle")
        environment_of(self.env)
        require_title(self.title)


@dataclass
class StudyScale(Options):
    """How much of a study runs."""

    seeds: str = option("0-4", "seeds of every algorithm on every task, such as 0-4")
    factor: float = option(1.0, "factor of every task's frames", above=0)
    frames: int | None = option(None, "environment frames of every run; null: the task's", least=1)
    preset: str | None = option(None, "preset of every run")
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = option(
        "cpu", "where the runs are, as trainer.accelerator; one run at a time on each GPU"
    )
    tasks: list[str] = option([], "titles of the tasks; empty for all")
    keys: dict[str, Any] = option({}, "config keys of every run that has them")

    def check(self) -> None:
        super().check()
        parse_seeds(self.seeds)


@dataclass
class StudyOptions(Options):
    """A study: algorithms on tasks, at several scales."""

    title: str = option("", "heading of the report")
    about: str = option("", "what the study asks, for the report")
    baseline: str = option("", "title of the algorithm that the others are compared with")
    algorithms: list[Any] = option([], "see StudyAlgorithm")
    tasks: list[Any] = option([], "see StudyTask")
    panels: dict[str, Any] = option(
        {}, "title → titles of the algorithms that one picture shows; empty for one with all"
    )
    scales: dict[str, Any] = option({}, "name → see StudyScale")


@dataclass(frozen=True)
class Study:
    """A study at one scale, as far as it can be checked without an algorithm's keys.

    Attributes:
        name: of the yaml file.
        scale_name: of the scale.
        title, about, baseline, panels: see `StudyOptions`.
        algorithms, tasks, scale: what runs.
    """

    name: str
    scale_name: str
    title: str
    about: str
    baseline: str
    panels: Mapping[str, Sequence[str]]
    algorithms: Sequence[StudyAlgorithm]
    tasks: Sequence[StudyTask]
    scale: StudyScale

    def algorithms_of(self, task: StudyTask) -> list[StudyAlgorithm]:
        """The algorithms that run on a task."""
        return [a for a in self.algorithms if not task.algorithms or a.title in task.algorithms]


def read_study(name: str, scale: str) -> Study:
    """The study `name`, a shipped one or a yaml file, at a scale.

    Raises:
        UsageError: it does not exist, or something in it is wrong.
    """
    content = overlay_of("study", name)
    try:
        return study_of(name, content, scale)
    except UsageError as error:
        raise UsageError(f"study {one_line(name)}: {error}") from error


def study_of(name: str, content: Mapping[str, Any], scale: str) -> Study:
    """The study that the content of a yaml file describes."""
    options = configure(StudyOptions, content, "a study")
    algorithms = entries(StudyAlgorithm, options.algorithms, "algorithms")
    tasks = entries(StudyTask, options.tasks, "tasks")
    titles = [algorithm.title for algorithm in algorithms]
    task_titles = [task.title for task in tasks]
    require_different("algorithms", titles)
    require_different("tasks", task_titles)
    require_all_known("baseline", [options.baseline], titles)
    for task in tasks:
        require_all_known(f"algorithms of {task.title}", task.algorithms, titles)
    for panel, shown_titles in options.panels.items():
        require(isinstance(shown_titles, list), f"panel {panel} is not a list of titles")
        require_all_known(f"panel {panel}", shown_titles, titles)
    chosen = scale_of(options, scale)
    require_all_known("tasks of the scale", chosen.tasks, task_titles)
    kept = [task for task in tasks if not chosen.tasks or task.title in chosen.tasks]
    return Study(
        name=name,
        scale_name=scale,
        title=options.title or name,
        about=options.about,
        baseline=options.baseline,
        panels=options.panels or {"": titles},
        algorithms=algorithms,
        tasks=kept,
        scale=chosen,
    )


def entries(cls: type[T], items: Sequence[Any], where: str) -> list[T]:
    """The options of every entry of a list."""
    require(bool(items), f"{where} is empty; list at least one")
    return [entry(cls, item, f"entry {number} of {where}") for number, item in enumerate(items, 1)]


def entry(cls: type[T], item: Any, where: str) -> T:
    """The options of one entry; an error says which."""
    require(isinstance(item, Mapping), f"{where} is not a mapping, found {shown(item)}")
    flat = dict(item)
    if isinstance(flat.get("keys"), Mapping):
        flat["keys"] = flatten(flat["keys"])
    try:
        return configure(cls, flat, "it")
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def scale_of(options: StudyOptions, name: str) -> StudyScale:
    """The scale `name` of a study."""
    known = list(options.scales)
    require(
        name in known,
        f"scale={one_line(name)} is not known; choose one of {', '.join(map(str, known))}"
        f"{nearest(name, known)}",
    )
    return entry(StudyScale, options.scales[name], f"scale {name}")


def require_title(title: str) -> None:
    """Raise unless a title is one short line."""
    require(
        0 < len(title) <= LONGEST_TITLE and title.isprintable() and title == title.strip(),
        f"the title {shown(title)} must be one line of 1 to {LONGEST_TITLE} characters",
    )


def require_different(what: str, titles: Sequence[str]) -> None:
    """Raise if two entries of a list have the same title."""
    repeated = [title for title in titles if titles.count(title) > 1]
    require(not repeated, f"two {what} have the title {repeated[:1]}; give one another title")


def require_all_known(what: str, titles: Sequence[str], known: Sequence[str]) -> None:
    """Raise if a list names something that does not exist."""
    for title in titles:
        require(
            title in known,
            f"{what}: {shown(title)} is not known; choose from {', '.join(known)}"
            f"{nearest(str(title), known)}",
        )
