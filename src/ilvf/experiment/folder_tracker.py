"""A run without MLflow: records in its folder, and in another logger of Lightning."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn

from ilvf.errors import require
from ilvf.experiment.engine_options import installed
from ilvf.experiment.interrupts import signals_held
from ilvf.experiment.outbox import Outbox
from ilvf.experiment.resumed import Resumed
from ilvf.experiment.run_folder import RunFolder
from ilvf.experiment.schema import flatten

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}  # that a logger needs


def require_logger(name: str) -> None:
    """Raise unless the package of a logger is installed."""
    package = PACKAGES.get(name)
    require(
        package is None or installed(package),
        f'trainer.logger={name} needs the package {package}: pip install "ilvf[{name}]"',
    )


def logger_of(name: str, run_dir: Path, experiment: str, run_name: str) -> Logger | None:
    """Lightning's logger with this name; None for `none`.

    Args:
        name: `trainer.logger`.
        run_dir: folder of the run, below which it writes.
        experiment, run_name: where the run appears in Weights & Biases, as in MLflow.
    """
    if name == "csv":
        return CSVLogger(run_dir, name="", version="csv", flush_logs_every_n_steps=1)
    if name == "tensorboard":
        return TensorBoardLogger(run_dir, name="", version="tensorboard")
    if name == "wandb":
        project = experiment.replace("/", "-")
        # Weights & Biases finds a resumed run by its id.
        return WandbLogger(
            run_name, run_dir, id=run_dir.name[-64:], project=project, resume="allow"
        )
    return None


class FolderTracker(Logger):
    """Records a run in its folder, and hands metrics on to another logger.

    It has the methods of `MLflowTracker`. As there, no error of the logger ends the run.

    Args:
        run_dir: folder of the run.
        inner: another logger, or None.

    Attributes:
        run_id: None, as the run is in no MLflow store.
        started: the run has been opened; `close` ends it.
    """

    def __init__(self, run_dir: Path, inner: Logger | None = None):
        super().__init__()
        self.run_dir = run_dir
        self.inner = inner
        self.run_id = None
        self.started = False
        self._outbox = Outbox(type(inner).__name__ if inner else "the run's folder")
        self._folder = RunFolder(run_dir, self._outbox)

    @property
    def name(self) -> str | None:
        """Of the other logger."""
        return self.inner.name if self.inner else None

    @property
    def version(self) -> int | str | None:
        """Of the other logger."""
        return self.inner.version if self.inner else None

    # ------------------------------------------------------------------ called by Lightning
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        frames = step or 0
        with signals_held():
            self._folder.add(metrics, frames)
            self._send(metrics, frames)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: `start` records the config."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Called by Lightning at every end of `fit`; `close` ends the run itself."""

    def _send(self, metrics: Mapping[str, float], frames: int) -> None:
        inner = self.inner
        if inner is not None:
            self._outbox.send(lambda: inner.log_metrics(dict(metrics), frames))

    # ------------------------------------------------------------------ called by `train`
    @rank_zero_only
    def start(
        self,
        config: Mapping[str, Any],
        seed: int,
        resumed: Resumed | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record the config; or continue the run of this folder.

        A CSV file is written again, because Lightning begins it anew.
        """
        rows = self._folder.continued(resumed)
        self.started = True
        inner = self.inner
        if inner is None:
            return
        self._outbox.send(lambda: inner.log_hyperparams(flatten(config)))
        if isinstance(inner, CSVLogger):
            for row in rows:
                self._send(row, int(row["frames"]))

    def is_open(self) -> bool:
        """No: the folder does not say whether the run was closed."""
        return False

    def artifact(self, path: Path, folder: str = "") -> None:
        """Nothing: the file is in the run's folder."""

    def policy(self, checkpoint: Path) -> None:
        """Nothing: the checkpoint is in the run's folder."""

    @rank_zero_only
    def figure(self, figure: Any, name: str) -> None:
        """Store a matplotlib figure in the run's folder."""
        self._outbox.send(lambda: self._folder.save_figure(figure, name), "files")

    @rank_zero_only
    def written(self, write: Callable[[Path], None], name: str) -> None:
        """Store a file, which `write` writes, in the run's folder."""
        self._outbox.send(lambda: self._folder.save(write, name), "files")

    @rank_zero_only
    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        inner = self.inner
        with signals_held():
            self._folder.write_rows()
            self._outbox.retry()
            self._outbox.send(lambda: None, "files")
            if inner is not None:
                word = "success" if status == "FINISHED" else "failed"
                self._outbox.send(lambda: inner.finalize(word))
        if self._outbox.missing:
            rank_zero_warn(f"{self._outbox.missing} records were not written; see {self.run_dir}")
