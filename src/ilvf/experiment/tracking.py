"""A run in MLflow.

A tracking store must never end a run: records that cannot be sent are kept and sent later, training
continues, and one warning says so. The metrics of every iteration are also in `metrics.jsonl`.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn
from mlflow.entities import RunTag

from ilvf.errors import UsageError
from ilvf.experiment.facts import code_version, machine
from ilvf.experiment.interrupts import signals_held
from ilvf.experiment.membership import SHOWN_BY
from ilvf.experiment.metrics_file import METRICS, Row
from ilvf.experiment.models import log_policy
from ilvf.experiment.outbox import Outbox
from ilvf.experiment.presentation import log_environment
from ilvf.experiment.resumed import CHANGES, Resumed, changes_in
from ilvf.experiment.run_folder import RunFolder
from ilvf.experiment.saved_view import save_view
from ilvf.experiment.schema import flatten
from ilvf.experiment.seed_summary import summarise_parent
from ilvf.experiment.store import (
    URI_VARIABLE,
    first_line,
    frames_in_store,
    has_run,
    latest_frames,
    require_own_store,
    store_errors,
)


class MLflowTracker(MLFlowLogger):
    """Lightning's MLflow logger, made to survive its store.

    Args:
        uri: of the store, opened before by `open_store`.
        experiment, run_name: where the run appears.
        run_dir: folder of the run, for `metrics.jsonl`.
        run_id: continue this run; metrics that it already has are not logged again.

    Attributes:
        started: the run is open in the store; `close` ends it.
    """

    def __init__(
        self, uri: str, experiment: str, run_name: str, run_dir: Path, run_id: str | None = None
    ):
        super().__init__(
            experiment_name=experiment, run_name=run_name, tracking_uri=uri, run_id=run_id
        )
        self.uri = uri
        self.run_dir = run_dir
        self._outbox = Outbox()
        self.started = False
        self._folder = RunFolder(run_dir, self._outbox)
        self._sent_until = -1  # frames of the last row for the store
        self._begun = -1  # frames of the last row whose sending has begun

    # ------------------------------------------------------------------ called by Lightning
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = step or 0
        with signals_held():
            self._folder.add(metrics, step)
            if step > self._sent_until:
                self._sent_until = step
                self._send_metrics(metrics, step)

    def _send_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send a row once: an attempt that failed may have reached the store all the same."""
        send = super().log_metrics

        def send_once() -> None:
            tried = step <= self._begun
            if tried and step <= latest_frames(self.experiment, str(self.run_id)):
                return
            self._begun = step
            send(metrics, step)

        self._outbox.send(send_once)

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Called by Lightning at every end of `fit`; `close` ends the run itself."""

    # ------------------------------------------------------------------ called by `train`
    @rank_zero_only
    def start(
        self,
        config: Mapping[str, Any],
        seed: int,
        resumed: Resumed | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record config, code, versions and hardware; or continue a run of this store.

        Args:
            config: nested config of the run.
            seed: of the run.
            resumed: the checkpoint that the run continues; its changes are kept as a tag.
            tags: of the run; those that it has already stay as they are.

        Raises:
            UsageError: the store cannot be written.
        """
        before = os.environ.get(URI_VARIABLE)
        try:
            with signals_held():
                self._start(config, seed, resumed, tags or {})
        except UsageError:
            raise
        except Exception as error:  # a store can raise anything; its first line says what
            raise UsageError(
                f"the run cannot be recorded in {self.uri}: {first_line(error)}"
            ) from error
        finally:  # creating the run leaves the store's address in the environment
            if before is None:
                os.environ.pop(URI_VARIABLE, None)
            else:
                os.environ[URI_VARIABLE] = before

    def _start(
        self,
        config: Mapping[str, Any],
        seed: int,
        resumed: Resumed | None,
        tags: Mapping[str, str],
    ) -> None:
        client = self._mlflow_client
        chosen = self._choose_run(resumed)
        rows = self._folder.continued(resumed)
        continued = self._run_id is not None
        assert self.experiment is client  # the property creates the run
        self.started = True
        save_view(client, str(self.experiment_id))
        if continued:
            client.update_run(self._run_id, status="RUNNING")
        else:
            self.log_hyperparams(flatten(config))
            client.log_dict(self.run_id, dict(config), "config.yaml")
            log_environment(client, str(self.run_id), config["env"])
            chosen |= {"seed": seed, **code_version(), **machine()}
        present = client.get_run(self.run_id).data.tags
        if resumed is not None and resumed.changes:
            chosen[CHANGES] = json.dumps(changes_in(present) | dict(resumed.changes), default=str)
        more = {key: text for key, text in tags.items() if key not in present | chosen}
        chosen = more | chosen  # MLflow's menus list them in this order
        client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in chosen.items()])
        self._catch_up(rows)

    def _choose_run(self, resumed: Resumed | None) -> dict[str, Any]:
        """Continue the checkpoint's MLflow run, unless it went on and its records differ.

        Returns:
            the tags of a new run: those by which the old one was found, and its id.
        """
        client = self._mlflow_client
        old = self._run_id
        if old is None or not has_run(client, old):
            self._run_id = None
            return {}
        require_own_store(client, self.uri, old, self.run_dir.parent)
        if resumed is None or not resumed.replaces(frames_in_store(client, old, resumed.frames)):
            return {}
        self._run_id = None
        print(
            f"note: the MLflow run {old} went on after {resumed.checkpoint.name} "
            f"({resumed.frames} frames) and stays as it is; a new MLflow run goes on from there",
            flush=True,
        )
        tags = client.get_run(old).data.tags
        kept = {key: tags[key] for key in SHOWN_BY if key in tags}
        return {**kept, "resume.run": old, "resume.frames": resumed.frames}

    def _catch_up(self, rows: Sequence[Row]) -> None:
        """Send the rows that the store lacks."""
        self._sent_until = latest_frames(self._mlflow_client, str(self.run_id))
        for row in rows:
            frames = int(row["frames"])
            if frames > self._sent_until:
                self._sent_until = frames
                self._send_metrics(row, frames)

    def is_open(self) -> bool:
        """Does the store have this run, and not as FINISHED?"""
        client = self._mlflow_client
        with store_errors(self.uri):
            found = self._run_id is not None and has_run(client, self._run_id)
            return found and client.get_run(self._run_id).info.status != "FINISHED"

    @rank_zero_only
    def artifact(self, path: Path, folder: str = "") -> None:
        """Store a file with the run."""
        self._outbox.send(
            lambda: self.experiment.log_artifact(self.run_id, str(path), folder or None), "files"
        )

    @rank_zero_only
    def policy(self, checkpoint: Path) -> None:
        """Store the policy of a checkpoint as a model that MLflow can load."""
        self._outbox.send(
            lambda: log_policy(self.experiment, str(self.run_id), checkpoint), "files"
        )

    @rank_zero_only
    def figure(self, figure: Any, name: str) -> None:
        """Store a matplotlib figure in the run's folder and with the run."""

        def send() -> None:
            path = self._folder.save_figure(figure, name)
            self.experiment.log_artifact(self.run_id, str(path), "pictures")

        self._outbox.send(send, "files")

    @rank_zero_only
    def written(self, write: Callable[[Path], None], name: str) -> None:
        """Store a file, which `write` writes, in the run's folder and with the run.

        Args:
            write: called with the path of the file.
            name: of the file in the run's folder, such as `pictures/episode.gif`.
        """
        folder = Path(name).parent.name or None

        def send() -> None:
            path = self._folder.save(write, name)
            self.experiment.log_artifact(self.run_id, str(path), folder)

        self._outbox.send(send, "files")

    @rank_zero_only
    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        with signals_held():
            self._folder.write_rows()
            self._outbox.retry()
            self._outbox.flush("files")
            self._outbox.send(lambda: self.experiment.set_terminated(self.run_id, status))
            self._outbox.send(lambda: summarise_parent(self.experiment, str(self.run_id)))
        missing = self._outbox.missing + self._outbox.left_out
        if missing:
            path = self.run_dir / METRICS
            rank_zero_warn(f"{missing} records did not reach MLflow; the metrics are in {path}")
