"""The MLflow store: an embedded sqlite file by default, a server by `MLFLOW_TRACKING_URI`."""

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from ilvf.errors import UsageError, require

URI_VARIABLE = "MLFLOW_TRACKING_URI"
PROBE = 10.0  # [s] to reach a server before the run starts


def tracking_uri(out: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or a sqlite file in the folder of runs."""
    return os.environ.get(URI_VARIABLE) or f"sqlite:///{out.resolve() / 'mlflow.db'}"


def open_store(uri: str, out: Path, experiment: str) -> None:
    """Create the store and the experiment, one process at a time.

    A new sqlite store is migrated at first use, which two processes must not do at once.

    Raises:
        UsageError: the store cannot be used, or the experiment is deleted.
    """
    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(PROBE)))
    if uri.startswith("http"):
        _probe(uri)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with FileLock(out / "mlflow.lock"):
            _create_experiment(MlflowClient(uri), uri, out, experiment)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = first_line(error)
        raise UsageError(f"the MLflow store {uri} cannot be used: {reason}") from error


def _create_experiment(client: Any, uri: str, out: Path, experiment: str) -> None:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        local = uri.startswith("sqlite")
        artifacts = (out.resolve() / "artifacts").as_uri() if local else None
        client.create_experiment(experiment, artifacts)
        return
    require(
        found.lifecycle_stage != "deleted",
        f"the experiment {experiment} of {uri} is deleted; restore it, or take another out=",
    )


def _probe(uri: str) -> None:
    """Raise unless a server answers."""
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=PROBE).close()
    except urllib.error.HTTPError:
        return  # any answer will do
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the MLflow server {uri} (MLFLOW_TRACKING_URI) cannot be reached: "
            f"{first_line(error)}; start it, or unset the variable to use the embedded store"
        ) from error


def add_to_run(uri: str, run_id: str | None, folder: Path, metrics: Mapping[str, float]) -> bool:
    """Store a folder of files and some metrics with a run that has ended.

    Returns:
        False if the store does not have the run.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = MlflowClient(uri)
        if run_id is None or not has_run(client, run_id):
            return False
        client.log_artifacts(run_id, str(folder), folder.name)
        step = int(client.get_run(run_id).data.metrics.get("frames", 0))
        for name, value in metrics.items():
            client.log_metric(run_id, name, value, step=step)
    except (MlflowException, OSError, SQLAlchemyError) as error:
        raise UsageError(
            f"the run {run_id} in {uri} cannot be written: {first_line(error)}; see {folder}"
        ) from error
    return True


def has_run(client: Any, run_id: str) -> bool:
    """Does the store have this run?"""
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def first_line(error: BaseException) -> str:
    """The first line of an error's text, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
