"""Run a study: the algorithms, tasks and seeds of one yaml file, and report on them.

ilvf study fig3 scale=smoke           a few iterations of everything, to see that it works
ilvf study fig3 scale=cpu             the size for a few cores; call it again to continue
ilvf study fig3 scale=cpu dry=true    list what would run
ilvf study fig3 tasks=encircle-10,slow-down algorithms=mappo seeds=10-11    a part of it
ilvf study fig3 scale=cpu reuse=runs/studies/fig8-cpu   with runs that another study has trained
ilvf study fig3 net_file=most.net.xml with the network of Monaco, which is not in this package
ilvf study my_study.yaml scale=cpu    a study of your own
ilvf study fig3 engine=submitit engine.partition=NAME    on a SLURM cluster
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import overlays
from ilvf.experiment.engine_options import EngineOptions, RunnerKeys
from ilvf.experiment.engines import engine_of
from ilvf.experiment.schema import Schema
from ilvf.options import option

if TYPE_CHECKING:
    from ilvf.studies.runner import Runner


@dataclass
class StudyKeys(RunnerKeys):
    """Which study runs, and where."""

    study: str = option("", "name of a study, or a yaml file", path=True)
    scale: str = option("cpu", "a scale of the study: smoke, cpu or paper")
    tasks: Any = option(
        None, "names or titles of the tasks that run, or their beginnings: A,B or [A, B]; null: all"
    )
    algorithms: Any = option(None, "the same for algorithms")
    seeds: str | None = option(None, "seeds that run, such as 10-12; null: all of the scale")
    net_file: str | None = option(
        None, "most.net.xml for tasks with env=monaco, see env.net_file", path=True
    )
    trust: bool = option(
        False, "run code of your own that tasks of the yaml file name, such as env.task"
    )
    reuse: Any = option(
        None, "folders of other studies, A,B or [A, B]: runs with the same settings count as done"
    )
    out: str = option("runs", "the study is in OUT/studies/STUDY-SCALE", path=True)


SCHEMA = Schema("study", __doc__, StudyKeys, {"engine": EngineOptions})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a study as the arguments say."""
    config = command_line(SCHEMA, arguments_of(arguments))
    require(
        bool(config.study),
        f"ilvf study needs the name of a study: {', '.join(overlays('study'))}, or a yaml file",
    )
    from ilvf.studies.absent import with_network
    from ilvf.studies.description import read_study
    from ilvf.studies.keys import require_trusted
    from ilvf.studies.part import part_of

    study = read_study(config.study, config.scale)
    if config.trust:
        study = replace(study, command=f"{study.command} trust=true")
    else:
        require_trusted(study)
    if config.net_file is not None:
        study = with_network(study, config.net_file)
    part = part_of(study, config.tasks, config.algorithms, config.seeds)
    from ilvf.studies.processes import study_label
    from ilvf.studies.reuse import folders_of
    from ilvf.studies.runner import Runner

    folder = Path(config.out) / "studies" / study_label(study)
    runner = Runner(study, folder, part, folders_of(config.reuse))
    if runner.reused:
        print(f"note: {runner.reused} runs are those of other studies", file=sys.stderr)
    if part.tasks is None:
        for title, reason in runner.absent.items():
            print(f"note: {title} is left out: {reason}", file=sys.stderr)
    if config.dry:
        print_missing(runner)
        return
    if config.report:
        runner.report()
    else:
        runner.run(engine_of(config.engine, runner.folder / "jobs", study.scale.accelerator))
    print(f"report: {runner.folder / 'report.md'}")


def arguments_of(arguments: Sequence[str] | None) -> list[str] | None:
    """The arguments, with a first word that is a study's name as `study=NAME`."""
    if not arguments:
        return None if arguments is None else []
    first, *rest = arguments
    is_name = "=" not in first and not first.startswith("-")
    return [f"study={first}", *rest] if is_name else list(arguments)


def print_missing(runner: "Runner") -> None:
    """List the runs that have not finished."""
    missing = runner.missing()
    for run in missing:
        print(f"{run.task} | {run.algorithm} | seed {run.seed}: {run.frames} frames")
    runs = [run for run in runner.runs if runner.part.has(run)]
    print(f"{len(missing)} of {len(runs)} runs have not finished")
