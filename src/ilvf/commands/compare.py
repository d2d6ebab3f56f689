"""Compare runs: learning curves with confidence bands and a table, from the MLflow store.

ilvf compare                                             all runs on Encircle, in groups
ilvf compare compare.by=algorithm.influence,algorithm.discretise
ilvf compare "compare.where=params.algorithm.tau = '1.0'" compare.metric=eval/return/team
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ilvf.commands.picture import require_picture, writing
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option


@dataclass
class StoreOptions(Options):
    """Where the runs are."""

    out: str = option(
        "runs", "folder of the MLflow store (or a server, by MLFLOW_TRACKING_URI)", path=True
    )


@dataclass
class CompareOptions(Options):
    """What is compared."""

    experiment: str = option("encircle", "MLflow experiment: the name of the environment")
    metric: str = option("reward/agent_step", "any logged metric")
    where: str | None = option(
        None, "MLflow filter, such as \"params.algorithm.tau = '1.0'\"; null: all finished runs"
    )
    by: str | None = option(
        None, "config keys that make a group, comma-separated; null: the recipe and what differs"
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


SCHEMA = Schema("compare", __doc__, StoreOptions, {"compare": CompareOptions})


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare as the arguments say."""
    config = command_line(SCHEMA, arguments)
    from ilvf.analysis import summarise
    from ilvf.experiment.history import read_runs
    from ilvf.experiment.store import open_store, tracking_uri
    from ilvf.reports.comparison import comparison

    options = config.compare
    out = Path(config.out)
    uri = tracking_uri(out)
    require(
        not uri.startswith("sqlite") or (out / "mlflow.db").is_file(),
        f"out={out} has no MLflow store (mlflow.db)",
    )
    name = f"compare-{options.experiment.replace('/', '-')}.png"
    picture = Path(options.picture or out / name)
    require_picture("compare.picture", picture)
    require(picture.parent.is_dir(), f"compare.picture: there is no folder {picture.parent}")
    open_store(uri, out, options.experiment)
    by = options.by.split(",") if options.by else None
    groups = read_runs(uri, options.experiment, options.metric, options.where, by)
    require(
        bool(groups),
        f"no finished run with {options.metric} in experiment {options.experiment} of {out}",
    )
    baseline = options.baseline
    require(
        baseline is None or baseline in groups,
        f"compare.baseline={baseline!r} is no group; there are {', '.join(groups)}",
    )
    table = summarise(groups, oracle=options.oracle, baseline=baseline)
    what = f"{options.metric} of {options.experiment}"
    print(f"{what}: mean ± sd over seeds, [95 % bootstrap interval]")
    print(table.to_string())
    with writing(picture):
        comparison(groups, options.metric, options.experiment).savefig(picture, dpi=120)
    print(f"picture: {picture}")
