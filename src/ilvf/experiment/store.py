"""The MLflow store: an embedded sqlite file by default, a server by `MLFLOW_TRACKING_URI`."""

import contextlib
import logging
import os
import re
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from ilvf.errors import UsageError, require
from ilvf.experiment.moved_store import follow_move, forget_places

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"  # before the path of a local store
PROBE = 10.0  # [s] to reach a server before the run starts
SILENCE = 5.0  # [s] to wait for another process without a word
PATIENCE = 90.0  # [s] to wait while another process creates the store


def tracking_uri(out: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or a sqlite file in the folder of runs."""
    return os.environ.get(URI_VARIABLE) or f"{SQLITE}{out.resolve() / 'mlflow.db'}"


def is_of_folder(uri: str, out: Path) -> bool:
    """Is the store the sqlite file in a folder of runs?"""
    return uri == f"{SQLITE}{out.resolve() / 'mlflow.db'}"


def require_address(uri: str) -> None:
    """Raise if the path of a database has characters that mean something else in an address.

    Raises:
        UsageError: names them.
    """
    found = re.findall(r"\?|%[0-9a-fA-F]{2}", uri) if uri.startswith(SQLITE) else []
    require(
        not found,
        f"the database {uri.removeprefix(SQLITE)} cannot have {''.join(found[:1])} in its path; "
        "take another folder (out=)",
    )


def open_store(uri: str, out: Path, experiment: str | None = None) -> None:
    """Create the store, and the experiment if one is given, one process at a time.

    A new sqlite store is migrated at first use, which two processes must not do at once.

    Raises:
        UsageError: the store cannot be used, or the experiment is deleted.
    """
    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log tracebacks
    limit_waiting()
    forget_places()
    if uri.startswith("http"):
        _probe(uri)
    require_address(uri)
    if uri.startswith(SQLITE):
        _require_file(Path(uri.removeprefix(SQLITE)))
    from mlflow.tracking import MlflowClient

    lock = out / "mlflow.lock"
    try:
        with store_errors(uri), patient_lock(lock):
            if uri.startswith(SQLITE):
                _create_file(Path(uri.removeprefix(SQLITE)))
            if is_of_folder(uri, out):
                follow_move(out.resolve())
            if experiment is not None:
                _create_experiment(MlflowClient(uri), uri, out, experiment)
    except Timeout:
        raise UsageError(
            f"another process has held {lock} for {PATIENCE:.0f} s, to create or migrate the "
            "store; wait for it, or delete the file if no process runs"
        ) from None


@contextlib.contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn the errors of a store inside the block into a UsageError, but no Timeout of a lock."""
    try:
        yield
    except (UsageError, Timeout):
        raise
    except Exception as error:  # a store can raise anything; its first line says what
        reason = first_line(error)
        raise UsageError(f"the MLflow store {uri} cannot be used: {reason}") from error


@contextlib.contextmanager
def patient_lock(path: Path) -> Iterator[None]:
    """Hold a lock; say so if another process holds it for more than some seconds."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=SILENCE)
    except Timeout:
        print(f"waiting for another process that holds {path}", file=sys.stderr, flush=True)
        lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        lock.release()


def _create_file(path: Path) -> None:
    """Create the file of a sqlite store with MLflow's tables, unless it exists.

    MLflow's migrations commit many times, and each commit waits for the disk. The new file is
    written without waiting, under another name, so that a power failure leaves no half of it.
    """
    if path.exists():
        return
    print(f"creating the MLflow store {path} (once, a few seconds)", flush=True)
    from mlflow.tracking import MlflowClient

    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with commits_without_waiting():
        MlflowClient(f"{SQLITE}{part}").search_experiments()
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


@contextlib.contextmanager
def commits_without_waiting() -> Iterator[None]:
    """Let new connections to sqlite leave the writing to the operating system."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def leave_it(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", leave_it)
    try:
        yield
    finally:
        event.remove(Engine, "connect", leave_it)


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


def _require_file(path: Path) -> None:
    """Raise unless a sqlite store is a file, or can become one; MLflow would retry for minutes."""
    require(
        not path.is_dir(),
        f"the MLflow store {path} is a folder; move it away, or take another out=",
    )
    target = path.resolve()
    require(
        target.parent.is_dir(),
        f"the MLflow store {path} cannot be made: there is no folder {target.parent}; make it, or "
        "take another out=",
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

    Raises:
        UsageError: the store cannot be reached or written.
    """
    with ended_run(uri, run_id, folder) as client:
        if client is None:
            return False
        client.log_artifacts(run_id, str(folder), folder.name)
        step = int(client.get_run(run_id).data.metrics.get("frames", 0))
        for name, value in metrics.items():
            client.log_metric(run_id, name, value, step=step)
    return True


def add_files(uri: str, run_id: str | None, files: Sequence[Path], folder: str) -> bool:
    """Store files with a run that has ended, below `folder`.

    Returns:
        False if the store does not have the run.

    Raises:
        UsageError: the store cannot be reached or written.
    """
    with ended_run(uri, run_id, files[0].parent) as client:
        if client is None:
            return False
        for file in files:
            client.log_artifact(run_id, str(file), folder)
    return True


@contextlib.contextmanager
def ended_run(uri: str, run_id: str | None, place: Path) -> Iterator[Any]:
    """A client of the store for the block; None if there is no store, or it lacks the run.

    Args:
        place: of the files, for the message of a failure in the block.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    limit_waiting()
    forget_places()
    here = not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE)).is_file()
    folder = Path(uri.removeprefix(SQLITE)).parent
    try:
        if here and is_of_folder(uri, folder):
            follow_move(folder.resolve())
        client = MlflowClient(uri) if run_id is not None and here else None
        yield client if client is not None and has_run(client, str(run_id)) else None
    except (MlflowException, OSError, SQLAlchemyError, sqlite3.Error) as error:
        raise UsageError(
            f"the run {run_id} in {uri} cannot be written: {first_line(error)}; see {place}"
        ) from error


def limit_waiting() -> None:
    """Let MLflow give up a server that does not answer after seconds, not minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(int(PROBE)))


def require_own_store(client: Any, uri: str, run_id: str, out: Path) -> None:
    """Raise if the store of `out` is a copy of the one that has this run's files."""
    artifacts = client.get_run(run_id).info.artifact_uri
    here = out.resolve()
    if not is_of_folder(uri, out) or not artifacts.startswith("file:"):
        return
    old = Path(url2pathname(urlparse(artifacts).path)).parents[2]  # OUT/artifacts/RUN/artifacts
    require(
        old == here,
        f"the store in {here} keeps this run's files in {old}, which still exists: "
        f"continue the run there (out={old}), or move that folder away",
    )


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


def latest_frames(client: Any, run_id: str) -> int:
    """The frames of the last iteration that a run has recorded; -1 if there is none."""
    return int(client.get_run(run_id).data.metrics.get("frames", -1))


def frames_in_store(client: Any, run_id: str, after: int) -> list[int]:
    """The frames of the iterations that a run has recorded after `after` frames, ascending."""
    if latest_frames(client, run_id) <= after:
        return []
    frames = {point.step for point in client.get_metric_history(run_id, "frames")}
    return sorted(step for step in frames if step > after)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
