"""Compare runs: learning curves with bootstrap bands and a table, from the MLflow store.

ilvf compare                                             the experiment of the newest run
ilvf compare compare.experiment=encircle                 all runs on Encircle, in groups
ilvf compare compare.by=algorithm.influence,algorithm.discretise
ilvf compare "compare.where=params.algorithm.tau = '1.0'" compare.metric=eval/return/team

Runs with other values of env.* or another number of frames have a table and a panel of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ilvf.commands.picture import require_picture, writing
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import Config
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option

if TYPE_CHECKING:
    from ilvf.experiment.groups import Groups


@dataclass
class StoreOptions(Options):
    """Where the runs are."""

    out: str = option(
        "runs", "folder of the MLflow store (or a server, by MLFLOW_TRACKING_URI)", path=True
    )


@dataclass
class CompareOptions(Options):
    """What is compared."""

    experiment: str | None = option(
        None,
        "MLflow experiment: the environment's name, with its task if it has several, such as "
        "vmas/navigation, or study/NAME-SCALE; null: that of the newest finished run",
    )
    metric: str = option("reward/agent_step", "any logged metric")
    where: str | None = option(
        None, "MLflow filter, such as \"params.algorithm.tau = '1.0'\"; null: all finished runs"
    )
    by: str | None = option(
        None, "config keys that make a group, comma-separated; null: the algorithm and what differs"
    )
    oracle: str = option(
        "reward_graph", "a word in the label of the oracle, for the share of its gain"
    )
    baseline: str | None = option(
        None, "a group's label, such as mappo: adds the ratio of every group's gain to its gain"
    )
    picture: str | None = option(
        None, "where the picture goes; null is compare-EXPERIMENT.png in out", path=True
    )


TABLE_TITLE = "mean over seeds (± standard deviation), [95 % bootstrap interval over seeds]"
SCHEMA = Schema("compare", __doc__, StoreOptions, {"compare": CompareOptions})


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare as the arguments say."""
    config = command_line(SCHEMA, arguments)
    from ilvf.experiment.store import SQLITE, open_store, store_errors, tracking_uri

    options = config.compare
    out = Path(config.out)
    uri = tracking_uri(out)
    file = Path(uri.removeprefix(SQLITE))
    require(
        not uri.startswith(SQLITE) or file.is_file(), f"out={out} has no MLflow store: no {file}"
    )
    picture = Path(options.picture) if options.picture else None
    if picture is not None:
        require_picture("compare.picture", picture)
        require(picture.parent.is_dir(), f"compare.picture: there is no folder {picture.parent}")
    from ilvf.experiment.groups import group_runs
    from ilvf.experiment.history import known_experiments, read_runs
    from ilvf.reports.comparison import comparison

    open_store(uri, out)
    with store_errors(uri):
        experiment = options.experiment or newest_experiment(uri, out)
        runs = read_runs(uri, experiment, options.metric, options.where)
        where = f" and {options.where}" if options.where else ""
        require(
            bool(runs),
            f"no finished run with {options.metric}{where} in the experiment {experiment} of "
            f"{out}; {known_experiments(uri)}",
        )
    picture = picture or out / f"compare-{experiment.replace('/', '-')}.png"
    panels = group_runs(runs, [key.strip() for key in (options.by or "").split(",") if key.strip()])
    print(f"{options.metric}: {TABLE_TITLE}")
    print_tables(panels, options)
    with writing(picture):
        comparison(panels, options.metric).savefig(picture, dpi=120)
    print(f"picture: {picture}")


def newest_experiment(uri: str, out: Path) -> str:
    """The experiment of the newest finished run; says how to take another one, if there is one."""
    from ilvf.experiment.history import experiments_with_runs

    names = experiments_with_runs(uri)
    require(bool(names), f"out={out} has no finished run; ilvf train makes one")
    newest, *others = names
    print(f"experiment {newest}")
    if others:
        print(f"others, for compare.experiment=: {', '.join(others)}")
    return newest


def print_tables(panels: "Mapping[str, Groups]", options: Config) -> None:
    """A table for each task and length of runs."""
    from ilvf.analysis import summarise
    from ilvf.experiment.groups import find_label

    baseline = find_label(options.baseline, panels) if options.baseline else None
    for heading, groups in panels.items():
        table = summarise(groups, oracle=options.oracle, baseline=baseline)
        print(f"\n{heading}\n{table.to_string()}\n")
    if len(panels) > 1:
        print("runs of different tasks or lengths are in tables and panels of their own")
