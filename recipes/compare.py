"""Compare runs: learning curves with confidence bands, and a table, from the MLflow store.

python recipes/compare.py                                             all runs on Encircle, grouped by what differs
python recipes/compare.py compare.by=algorithm.influence,algorithm.discretise
python recipes/compare.py "compare.where=params.algorithm.tau = '1.0'" compare.metric=eval/return/team
"""

from pathlib import Path

from ilvf.errors import require, run_recipe
from ilvf.experiment.command_line import command_line


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.analysis import summarise
    from ilvf.experiment.history import read_runs
    from ilvf.experiment.tracking import open_store, tracking_uri
    from pictures import comparison

    options, out = cfg["compare"], Path(cfg["out"])
    uri = tracking_uri(out)
    require(
        not uri.startswith("sqlite") or (out / "mlflow.db").is_file(),
        f"out={out} has no MLflow store (mlflow.db)",
    )
    open_store(uri, out, options["experiment"])
    by = options["by"].split(",") if options["by"] else None
    groups = read_runs(uri, options["experiment"], options["metric"], options["where"], by)
    require(
        bool(groups),
        f"no finished run with {options['metric']} in experiment {options['experiment']} of {out}",
    )
    baseline = options["baseline"]
    require(
        baseline is None or baseline in groups,
        f"compare.baseline={baseline!r} is no group; there are {', '.join(groups)}",
    )
    table = summarise(groups, oracle=options["oracle"], baseline=baseline)
    print(
        f"{options['metric']} of {options['experiment']}: mean ± sd over seeds, [95 % bootstrap interval]"
    )
    print(table.to_string())
    picture = Path(options["picture"] or out / f"compare-{options['experiment']}.png")
    comparison(groups, options["metric"]).savefig(picture, dpi=120)
    print(f"picture: {picture}")


if __name__ == "__main__":
    run_recipe(main)
