"""What a study consists of: typed options, read from one yaml file.

    title: ILVF-P and MAPPO
    baseline: MAPPO
    algorithms:
      - recipe: mappo
      - title: ILVF-P, τ = 0.5
        recipe: ilvf_p
        keys: {algorithm.tau: 0.5}
    tasks:
      - encircle-10
      - title: Encircle, 6 agents
        env: encircle
        keys: {env.n_agents: 6}
        frames: 100000
    scales:
      smoke: {seeds: 0-1, frames: 800}
      cpu: {seeds: 0-4}

`ilvf/experiment/configs` has the studies and tasks that are shipped, in `study` and `task`.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ilvf.algorithms.options import config_of
from ilvf.errors import UsageError, require
from ilvf.experiment.config import environment_of, overlay_of
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import Options, configure, nearest, one_line, option, shown
from ilvf.studies.after import AFTER, require_after
from ilvf.studies.tasks import entry_content, task_content

LONGEST_TITLE = 80
PLAIN = re.compile(r"[\w-]+")  # name of a scale
T = TypeVar("T", bound=Options)
Content = Callable[[Any], dict[str, Any]]  # of an entry, as options


@dataclass
class StudyAlgorithm(Options):
    """An algorithm of a study."""

    title: str = option("", "name in figures, tables and MLflow; empty for the recipe's own")
    recipe: str = option("", "declared algorithm")
    keys: dict[str, Any] = option({}, "config keys that differ from the recipe's defaults")
    tasks: list[str] = option([], "names or titles of the tasks that it runs on; empty for all")

    def check(self) -> None:
        super().check()
        require(bool(self.recipe), "an algorithm has no recipe; write recipe: mappo")
        self.title = self.title or config_of(self.recipe).title
        require_title(self.title)


@dataclass
class StudyTask(Options):
    """A task of a study."""

    title: str = option("", "in figures and tables")
    name: str = option("", "short form of the title; empty for the title")
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
    optional: bool = option(
        False, "leave the task out, with a note, where a file or package that it needs is missing"
    )

    def check(self) -> None:
        super().check()
        require(bool(self.env), f"the task {shown(self.title)} has no env; write env: encircle")
        environment_of(self.env)
        require_title(self.title)
        self.name = self.name or self.title
        require_title(self.name)


@dataclass
class StudyScale(Options):
    """How much of a study runs."""

    seeds: str | int = option("0-4", "seeds of every algorithm on every task, such as 0-4")
    factor: float = option(1.0, "factor of every task's frames", above=0)
    frames: int | None = option(None, "environment frames of every run; null: the task's", least=1)
    preset: str | None = option(None, "preset of every run")
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = option(
        "cpu", "where the runs are, as trainer.accelerator; one run at a time on each GPU"
    )
    tasks: list[str] = option([], "names or titles of the tasks; empty for all")
    keys: dict[str, Any] = option({}, "config keys of every run that has them")
    after: dict[str, Any] = option({}, "name of an analysis → its options, such as episodes")

    def check(self) -> None:
        super().check()
        self.seeds = str(self.seeds)
        parse_seeds(self.seeds)


@dataclass
class StudyOptions(Options):
    """A study: algorithms on tasks, at several scales."""

    title: str = option("", "heading of the report")
    about: str = option("", "what the study asks, for the report")
    baseline: str = option("", "title of the algorithm that the others are compared with")
    references: dict[str, Any] = option(
        {}, "title → titles of algorithms; the others are also compared with the best of these"
    )
    algorithms: list[Any] = option([], "see StudyAlgorithm")
    tasks: list[Any] = option([], "see StudyTask; or names of ready-made tasks")
    panels: dict[str, Any] = option(
        {}, "title → titles of the algorithms that one picture shows; empty for one with all"
    )
    after: list[str] = option([], f"analyses of every finished run: {', '.join(AFTER)}")
    scales: dict[str, Any] = option({}, "name → see StudyScale")


@dataclass(frozen=True)
class Study:
    """A study at one scale, as far as it can be checked without an algorithm's keys.

    Attributes:
        name: of the yaml file.
        scale_name: of the scale.
        title, about, baseline, panels, references: see `StudyOptions`.
        algorithms, tasks, scale: what runs.
        after: names of the analyses of finished runs.
        command: what runs and continues it; empty if that is not one line.
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
    references: Mapping[str, Sequence[str]] = field(default_factory=dict)
    after: Sequence[str] = ()
    command: str = ""

    def algorithms_of(self, task: StudyTask) -> list[StudyAlgorithm]:
        """The algorithms that run on a task."""
        of_task = [a for a in self.algorithms if not task.algorithms or a.title in task.algorithms]
        return [a for a in of_task if not a.tasks or {task.name, task.title} & set(a.tasks)]


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
    algorithms = entries(StudyAlgorithm, options.algorithms, "algorithms", entry_content)
    tasks = entries(StudyTask, options.tasks, "tasks", task_content)
    titles = [algorithm.title for algorithm in algorithms]
    task_titles = [task.title for task in tasks]
    task_names = [task.name for task in tasks]
    require_different("algorithms", titles)
    require_different("tasks", task_titles)
    require_different("tasks", task_names, "name")
    for algorithm in algorithms:
        require_all_known(
            f"tasks of {algorithm.title}", algorithm.tasks, task_names, also=task_titles
        )
    require_all_known("baseline", [options.baseline], titles)
    for task in tasks:
        require_all_known(f"algorithms of {task.title}", task.algorithms, titles)
    require_lists("panel", options.panels, titles)
    require_lists("reference", options.references, titles)
    chosen = scale_of(options, scale)
    require_all_known("tasks of the scale", chosen.tasks, task_names, also=task_titles)
    require_after(options.after, chosen.after)
    wanted = set(chosen.tasks) or set(task_titles)
    kept = [task for task in tasks if {task.name, task.title} & wanted]
    return Study(
        name=name,
        scale_name=scale,
        command=shlex.join(["ilvf", "study", name, f"scale={scale}"]),
        title=options.title or name,
        about=options.about,
        baseline=options.baseline,
        panels=options.panels or {"": titles},
        algorithms=algorithms,
        tasks=kept,
        scale=chosen,
        references=options.references,
        after=options.after,
    )


def require_lists(what: str, lists: Mapping[str, Any], titles: Sequence[str]) -> None:
    """Raise unless each of the lists has titles of algorithms alone."""
    for name, found in lists.items():
        require(isinstance(found, list), f"{what} {name} is not a list of titles")
        require_all_known(f"{what} {name}", found, titles)


def entries(cls: type[T], items: Sequence[Any], where: str, content: Content) -> list[T]:
    """The options of every entry of a list."""
    require(bool(items), f"{where} is empty; list at least one")
    found = []
    for number, item in enumerate(items, 1):
        found.append(entry(cls, item, f"entry {number} of {where}", content))
    return found


def entry(cls: type[T], item: Any, where: str, content: Content = entry_content) -> T:
    """The options of one entry; an error says which."""
    try:
        return configure(cls, content(item), "it")
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def scale_of(options: StudyOptions, name: str) -> StudyScale:
    """The scale `name` of a study."""
    scales = {str(known): content for known, content in options.scales.items()}
    require(
        name in scales,
        f"scale={one_line(name)} is not known; choose one of {', '.join(scales)}"
        f"{nearest(name, list(scales))}",
    )
    require(
        PLAIN.fullmatch(name) is not None,
        f"the scale {shown(name)} is a part of a folder's name; use letters, digits, - and _",
    )
    return entry(StudyScale, scales[name], f"scale {name}")


def require_title(title: str) -> None:
    """Raise unless a title is one short line."""
    require(
        0 < len(title) <= LONGEST_TITLE and title.isprintable() and title == title.strip(),
        f"the title {shown(title)} must be one line of 1 to {LONGEST_TITLE} characters",
    )


def require_different(what: str, titles: Sequence[str], kind: str = "title") -> None:
    """Raise if two entries of a list have the same title, or name."""
    repeated = [title for title in titles if titles.count(title) > 1]
    require(not repeated, f"two {what} have the {kind} {repeated[:1]}; give one another {kind}")


def require_all_known(
    what: str, titles: Sequence[str], known: Sequence[str], also: Sequence[str] = ()
) -> None:
    """Raise if a list names something that does not exist.

    Args:
        also: further names, which the message does not list.
    """
    for title in titles:
        require(
            title in (*known, *also),
            f"{what}: {shown(title)} is not known; choose from {', '.join(known)}"
            f"{nearest(str(title), known)}",
        )
