"""Runs of a comparison in an MLflow store: which are missing, and the commands that make them."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMON = ("trainer.threads=1", "trainer.progress=false")

Variant = tuple[str, ...]  # a recipe and its arguments


def command(recipe: str, *arguments: str) -> list[str]:
    """The command line of a recipe."""
    return [sys.executable, str(ROOT / "recipes" / f"{recipe}.py"), *arguments]


def client_of(out: Path) -> Any:
    """A client of the MLflow store below `out`."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{out / 'mlflow.db'}")


def finished(
    out: Path, experiment: str, variants: Sequence[Variant], variant: Variant
) -> dict[int, str]:
    """Seed → id of the MLflow run, for the finished runs of `variant`.

    Args:
        out: folder of the store.
        experiment: name of the MLflow experiment.
        variants: all variants of the comparison. A run belongs to `variant` if it has all its
            arguments, and none of the values that only other variants of the recipe set.
        variant: one of them.
    """
    if not (out / "mlflow.db").exists():
        return {}
    client = client_of(out)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return {}
    condition = "attributes.status = 'FINISHED'"
    runs = client.search_runs([found.experiment_id], condition, max_results=5000)
    ids = {}
    for run in runs:
        if belongs(run.data.params, variant, variants):
            ids[int(run.data.params["seed"])] = run.info.run_id
    return ids


def belongs(parameters: Mapping[str, str], variant: Variant, variants: Sequence[Variant]) -> bool:
    """Whether a run with these parameters is one of `variant`."""
    recipe, *arguments = variant
    wanted = dict(argument.split("=") for argument in arguments)
    if parameters.get("recipe") != recipe:
        return False
    if any(parameters.get(key) != value for key, value in wanted.items()):
        return False
    for other, *others_arguments in variants:
        if other != recipe:
            continue
        for key, value in (argument.split("=") for argument in others_arguments):
            if key not in wanted and parameters.get(key) == value:
                return False
    return True
