"""What a study has run: settings, software, hardware and times, as tables in markdown."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ilvf.experiment.pages import LOCAL, run_page, server, ui_command
from ilvf.reports.tables import code, escaped
from ilvf.reports.tables import table as markdown
from ilvf.studies.description import Study, StudyTask
from ilvf.studies.plan import ALWAYS, PlannedRun
from ilvf.studies.records import TAGS

NOT_SHOWN = ("seed", *(argument.partition("=")[0] for argument in ALWAYS))
UNKNOWN = "unknown"


def settings_table(study: Study, runs: Sequence[PlannedRun], records: pd.DataFrame) -> str:
    """The arguments of the runs: of each task, and those by which its algorithms differ."""
    rows = []
    for task in study.tasks:
        first = first_runs(runs, task)
        shared = shared_arguments(first)
        rows.append([escaped(task.title), "*all*", code_list(shared), "", ""])
        for run in first:
            own = [argument for argument in shown_arguments(run) if argument not in shared]
            frames = f"{run.frames:,}".replace(",", " ")
            keys = code_list([run.recipe, *own])
            rows.append(["", escaped(run.algorithm), keys, frames, seconds_of(records, run)])
    head = ["task", "algorithm", "recipe and keys", "frames of a run", "time of a run"]
    return markdown(head, rows)


def first_runs(runs: Sequence[PlannedRun], task: StudyTask) -> list[PlannedRun]:
    """One run of each algorithm of a task; those of other seeds have the same settings."""
    found: dict[str, PlannedRun] = {}
    for run in runs:
        if run.task == task.title:
            found.setdefault(run.algorithm, run)
    return list(found.values())


def shared_arguments(runs: Sequence[PlannedRun]) -> list[str]:
    """The arguments that all of these runs have."""
    first, *others = [shown_arguments(run) for run in runs]
    return [argument for argument in first if all(argument in other for other in others)]


def shown_arguments(run: PlannedRun) -> list[str]:
    """The arguments of a run without those of every run, and its seed."""
    return [a for a in run.arguments if a.partition("=")[0] not in NOT_SHOWN]


def code_list(words: Iterable[str]) -> str:
    """Words as code."""
    return ", ".join(code(word) for word in words)


def seconds_of(records: pd.DataFrame, run: PlannedRun) -> str:
    """The mean time of the runs of an algorithm on a task, over their seeds."""
    same = (records["task"] == run.task) & (records["algorithm"] == run.algorithm)
    seconds = records.loc[same, "seconds"].dropna().astype(float)
    return duration(seconds.mean()) if len(seconds) else UNKNOWN


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    if seconds < 36_000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def machines_table(records: pd.DataFrame) -> str:
    """The versions and machines of the runs, one row for each that differs."""
    rows = []
    last = []  # runs of which nothing is known
    for values, same in records.groupby(list(TAGS), sort=False, dropna=False):
        named = dict(zip(TAGS, values, strict=True))
        if not any(named.values()):
            last.append([str(len(same)), UNKNOWN, UNKNOWN])
            continue
        commit = named["commit"][:10] or UNKNOWN
        software = [f"{name} {named[name]}" for name in ("ilvf", "torch", "torchrl", "lightning")]
        software += [f"python {named['python'] or UNKNOWN}", f"commit {commit}"]
        rows.append([str(len(same)), escaped(", ".join(software)), escaped(machine_text(named))])
    return markdown(["runs", "software", "machine"], [*rows, *last])


def machine_text(named: Mapping[str, str]) -> str:
    """Processor, memory, GPU and system, as far as they are known."""
    words = {"cpu": "{}", "cores": "{} cores", "memory_gib": "{} GiB", "gpu": "GPU: {}"}
    words["platform"] = "{}"
    return ", ".join(form.format(named[key]) for key, form in words.items() if named[key])


def time_line(records: pd.DataFrame, finished: int) -> str:
    """The time of all runs in a sentence."""
    seconds = records["seconds"].dropna().astype(float)
    line = f"{finished} runs have finished."
    if not len(seconds):
        return line
    line += f" Their training took {duration(seconds.sum())} in all, without evaluations"
    unknown = finished - len(seconds)
    return f"{line}; the time of {unknown} runs is not known." if unknown else f"{line}."


def runs_table(study: Study, records: pd.DataFrame) -> str:
    """The runs of every task and algorithm: seeds, times, and links to MLflow."""
    rows = []
    for task in study.tasks:
        for algorithm in study.algorithms_of(task):
            same = (records["task"] == task.title) & (records["algorithm"] == algorithm.title)
            cells = [run_cell(row) for row in records[same].to_dict("records")]
            if cells:
                rows.append([escaped(task.title), escaped(algorithm.title), ", ".join(cells)])
    return markdown(["task", "algorithm", "seed: time"], rows)


def run_cell(row: dict) -> str:
    """The seed of a run, with a link if MLflow has the run, and its time."""
    seed = str(row["seed"])
    if row["run_id"]:
        seed = f"[{seed}]({run_page(row['experiment_id'], row['run_id'])})"
    seconds = float(row["seconds"])
    return f"{seed}: {duration(seconds) if seconds == seconds else UNKNOWN}"


def link_line(records: pd.DataFrame) -> str:
    """Where the links lead; nothing if there are none."""
    if not (records["run_id"] != "").any():
        return ""
    if server() != LOCAL:
        return f"The seeds are links to the runs in MLflow at {server()}."
    command = ui_command("sqlite:///mlflow.db")
    return (
        "The seeds are links to the runs in MLflow. They open while this command runs in the "
        f"folder of the study: `{command}`."
    )
