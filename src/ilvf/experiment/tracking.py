"""Runs in MLflow: an embedded sqlite store by default, a server by `MLFLOW_TRACKING_URI`.

A tracking store must never cost a run: what cannot be logged is kept and tried again, training goes on and says so
once. The metrics of every iteration are also appended to `metrics.jsonl` in the run's folder.
"""

import contextlib
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn

from ilvf.errors import UsageError, require
from ilvf.experiment.command_line import flatten
from ilvf.experiment.facts import code_version, machine

METRICS = "metrics.jsonl"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
RETRY_AFTER = 60.0  # [s] between attempts to reach a store that failed
PROBE = 10.0  # [s] to reach a server before the run starts


def tracking_uri(out: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or a sqlite file in the folder of runs."""
    return os.environ.get(URI_VARIABLE) or f"sqlite:///{out.resolve() / 'mlflow.db'}"


def open_store(uri: str, out: Path, experiment: str) -> None:
    """Create the store and the experiment, one process at a time, or say why that cannot be done.

    A fresh sqlite store is migrated at first use, which two processes must not do at once.
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
            client = MlflowClient(uri)
            found = client.get_experiment_by_name(experiment)
            deleted = found is not None and found.lifecycle_stage == "deleted"
            require(
                not deleted,
                f"the experiment {experiment} of {uri} is deleted; restore it, or take another out=",
            )
            if found is None:
                local = uri.startswith("sqlite")
                client.create_experiment(
                    experiment, (out.resolve() / "artifacts").as_uri() if local else None
                )
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise UsageError(f"the MLflow store {uri} cannot be used: {_first_line(error)}") from error


def _probe(uri: str) -> None:
    try:
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=PROBE).close()
    except urllib.error.HTTPError:
        return  # it answered
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the MLflow server {uri} (MLFLOW_TRACKING_URI) cannot be reached: {_first_line(error)}; "
            "start it, or unset the variable to use the embedded store"
        ) from error


class MLflowTracker(MLFlowLogger):
    """Lightning's MLflow logger, made to survive its store.

    Args:
        uri: of the store, opened before by `open_store`.
        experiment, run_name: where the run appears.
        run_dir: folder of the run, for `metrics.jsonl`.
        run_id: continue this run; metrics that it already has are not logged again.
    """

    def __init__(
        self, uri: str, experiment: str, run_name: str, run_dir: Path, run_id: str | None = None
    ):
        super().__init__(
            experiment_name=experiment, run_name=run_name, tracking_uri=uri, run_id=run_id
        )
        self.run_dir = run_dir
        self._waiting: dict[str, list[Callable[[], None]]] = {"metrics": [], "files": []}
        self._failed_at: dict[str, float] = {}
        self._warned = False
        self._logged_until = -1

    # ------------------------------------------------------------------ what Lightning calls
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = step or 0
        if step <= self._logged_until:
            return
        self._logged_until = step
        with (self.run_dir / METRICS).open("a") as file:
            file.write(json.dumps({"frames": step, **metrics}) + "\n")
        self._send_metrics(metrics, step)

    def _send_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        send = super().log_metrics
        self._attempt(lambda: send(metrics, step))

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Called by Lightning at every end of `fit`; the run itself is ended by `close`."""

    # ------------------------------------------------------------------ what recipes call
    @rank_zero_only
    def start(self, config: Mapping[str, Any], seed: int, changes: Mapping[str, Any]) -> None:
        """Record what the run is: its config, code, versions and hardware; or go on with what it has logged so far.

        `changes`: config keys that a resumed run changes, kept as a tag. A run unknown to this store begins anew.
        """
        from mlflow.exceptions import MlflowException

        before, client = os.environ.get(URI_VARIABLE), self._mlflow_client
        try:
            resumed = self._run_id is not None and _has_run(client, self._run_id)
            if not resumed:
                self._run_id = None
            assert (
                self.experiment is client
            )  # creates the run, and leaves the store's address in the environment
            if resumed:
                client.update_run(self._run_id, status="RUNNING")
            else:
                self.log_hyperparams(flatten(config))
                client.log_dict(self.run_id, dict(config), "config.yaml")
            notes = {"seed": seed, **code_version(), **machine()} if not resumed else {}
            for key, value in {**notes, **({"resume.changes": changes} if changes else {})}.items():
                client.set_tag(self.run_id, key, str(value))
            self._catch_up(int(client.get_run(self.run_id).data.metrics.get("frames", -1)))
        except (MlflowException, OSError) as error:
            raise UsageError(
                f"the run cannot be recorded in {self._tracking_uri}: {_first_line(error)}"
            ) from error
        finally:
            os.environ.pop(URI_VARIABLE, None) if before is None else os.environ.update(
                {URI_VARIABLE: before}
            )

    def _catch_up(self, logged_until: int) -> None:
        """Send what the run's folder knows and the store does not, and mend a line that a kill has cut."""
        rows = read_rows(self.run_dir / METRICS)
        part = self.run_dir / f"{METRICS}.part"
        part.write_text("".join(json.dumps(r) + "\n" for r in rows))
        part.replace(self.run_dir / METRICS)
        for row in rows:
            if row["frames"] > logged_until:
                self._send_metrics(row, int(row["frames"]))
        self._logged_until = max([logged_until, *(int(r["frames"]) for r in rows)])

    @rank_zero_only
    def artifact(self, path: Path, folder: str = "") -> None:
        """Store a file with the run."""
        self._attempt(
            lambda: self.experiment.log_artifact(self.run_id, str(path), folder or None), "files"
        )

    @rank_zero_only
    def figure(self, figure: Any, name: str) -> None:
        """Store a matplotlib figure, in the run's folder and with the run."""
        path = self.run_dir / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
        self.artifact(path, "pictures")

    @rank_zero_only
    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        self._failed_at = {}  # one last attempt
        self._attempt(lambda: None, "files")
        self._attempt(lambda: self.experiment.set_terminated(self.run_id, status))
        missing = sum(map(len, self._waiting.values()))
        if missing:
            rank_zero_warn(
                f"{missing} records did not reach MLflow; the metrics are in {self.run_dir / METRICS}"
            )

    def _attempt(self, send: Callable[[], None], kind: str = "metrics") -> None:
        """Send all of this kind that waits, then `send`; keep it if the store fails. Files never hold up metrics."""
        waiting = self._waiting[kind]
        waiting.append(send)
        if time.monotonic() - self._failed_at.get(kind, float("-inf")) < RETRY_AFTER:
            return
        try:
            while waiting:
                waiting[0]()
                waiting.pop(0)
        except (
            Exception
        ) as error:  # whatever a store or a network can raise must not end the training
            self._failed_at[kind] = time.monotonic()
            if not self._warned:
                self._warned = True
                rank_zero_warn(
                    f"MLflow failed ({_first_line(error)}); training goes on, records are kept and sent later"
                )


def add_to_run(uri: str, run_id: str | None, folder: Path, metrics: Mapping[str, float]) -> bool:
    """Store a folder of files and some metrics with a run that has ended; False if the store does not have it."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = MlflowClient(uri)
        if run_id is None or not _has_run(client, run_id):
            return False
        client.log_artifacts(run_id, str(folder), folder.name)
        step = int(client.get_run(run_id).data.metrics.get("frames", 0))
        for name, value in metrics.items():
            client.log_metric(run_id, name, value, step=step)
    except (MlflowException, OSError, SQLAlchemyError) as error:
        raise UsageError(
            f"the run {run_id} in {uri} cannot be written: {_first_line(error)}; see {folder}"
        ) from error
    return True


def read_rows(path: Path) -> list[dict[str, float]]:
    """The metrics of every iteration in a `metrics.jsonl`, without a last line that a kill has cut."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def _has_run(client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
