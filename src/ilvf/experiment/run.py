"""One training run from a resolved config: folder, store, trainer, checkpoints, ending."""

import functools
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import OmegaConf

from ilvf.algorithms.base import Training
from ilvf.checkpoints.files import RESUMED, AtomicCheckpoints, read_checkpoint
from ilvf.checkpoints.fit import (
    is_complete,
    require_fit,
    require_more_iterations,
    require_replay_files,
    require_same_size,
)
from ilvf.errors import UsageError
from ilvf.experiment.build import build
from ilvf.experiment.callbacks import CleanStop, IterationBar
from ilvf.experiment.collection import elsewhere_of
from ilvf.experiment.command_line import words_of_process
from ilvf.experiment.config import Config
from ilvf.experiment.ending import print_ending
from ilvf.experiment.folder import experiment_name, make_run_folder, removed_if_refused
from ilvf.experiment.folder_tracker import FolderTracker, logger_of, require_logger
from ilvf.experiment.interrupts import handlers_kept, signals_held
from ilvf.experiment.lock import RunLock
from ilvf.experiment.memory import keep_memory
from ilvf.experiment.metrics_file import METRICS
from ilvf.experiment.monitors import (
    MONITOR,
    EvaluationStopping,
    ModelCheckpointHere,
    ModelCheckpointTop,
)
from ilvf.experiment.presentation import mlflow_name, tags_of
from ilvf.experiment.processes import cluster_environment, number_of_processes
from ilvf.experiment.resumed import Resumed, repeats_iteration
from ilvf.experiment.schema import flatten
from ilvf.experiment.seed_runs import run_seeds
from ilvf.experiment.store import open_store, require_address, tracking_uri
from ilvf.experiment.system_metrics import system_metrics
from ilvf.experiment.tracking import MLflowTracker
from ilvf.starting import starting

Tracker = MLflowTracker | FolderTracker
NOT_LIGHTNINGS = (
    "threads",
    "collector",
    "collector_workers",
    "progress",
    "system_metrics",
    "logger",
    "early_stopping",
    "early_stopping_delta",
    "save_top_k",
    "pictures",
    "animation",
)  # keys of trainer.*, not Lightning's


def train(
    config: Config, callbacks: Sequence[Callback] = (), command: Sequence[str] | None = None
) -> Training | None:
    """Train as the config says.

    Args:
        config: of the run.
        callbacks: of Lightning, besides those that every run has.
        command: the words of a command that does the same; by default those of this process.

    Returns:
        the trained module, or None if several seeds were run.
    """
    command = command or words_of_process()
    if config.trainer.logger == "mlflow":
        require_address(tracking_uri(Path(config.out)))
    if config.seeds is not None:
        run_seeds(config, command)
        return None
    quiet()
    keep_memory()
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    require_logger(config.trainer.logger)
    L.seed_everything(config.seed, verbose=False)
    elsewhere = elsewhere_of(config)
    with starting():
        module = build(config)
    module.elsewhere = elsewhere
    checkpoint = Path(config.resume) if config.resume else None
    content = _read(checkpoint, module)
    require_devices(config)
    folder = make_run_folder(config, checkpoint)
    stop = CleanStop()
    with starting(), removed_if_refused(folder):
        tracker = _tracker(config, folder, content["ilvf"]["run"] if content else None)
        trainer = make_trainer(config, folder, tracker, [stop, *callbacks])
        if checkpoint and content:
            workers = 0 if elsewhere is None else elsewhere.workers
            require_same_size(content, trainer.world_size, module.options.num_envs, workers)
            require_replay_files(checkpoint, content)
            _require_work(checkpoint, content, trainer, tracker)
    lock = RunLock(folder) if trainer.is_global_zero else None
    try:
        resumed = _resumed(checkpoint, content, module, trainer)
        frames = module.options.frames_of(config.trainer.max_epochs) * trainer.world_size
        _fit(trainer, module, tracker, stop, resumed, tags_of(config, folder, frames))
    finally:
        if lock is not None:
            lock.release()
    if trainer.is_global_zero:
        print_ending(module, tracker, stop.signal, command)
    if stop.signal:
        raise SystemExit(128 + stop.signal)
    return module


def require_devices(config: Config) -> None:
    """Raise unless this machine has the devices of a config."""
    options: Any = OmegaConf.to_container(config.trainer)
    number_of_processes(options["accelerator"], options["devices"])


def _read(checkpoint: Path | None, module: Training) -> dict[str, Any] | None:
    """The content of the checkpoint to resume, which must fit the module."""
    if checkpoint is None:
        return None
    os.environ[RESUMED] = str(checkpoint)
    content = read_checkpoint(checkpoint)
    require_fit(checkpoint, content, module)
    return content


def _require_work(
    checkpoint: Path, content: Mapping[str, Any], trainer: L.Trainer, tracker: Tracker
) -> None:
    """Raise unless the run has iterations to do, or has done all and was killed before its end.

    Lightning then trains nothing, and the run is recorded and closed as at any other end.
    """
    iterations = trainer.max_epochs or 0
    if not is_complete(checkpoint, content, iterations) or not tracker.is_open():
        require_more_iterations(content, iterations)
    elif trainer.is_global_zero:
        print(f"note: the run has done its {iterations} iterations; its records are completed")


def _fit(
    trainer: L.Trainer,
    module: Training,
    tracker: Tracker,
    stop: CleanStop,
    resumed: Resumed | None,
    tags: Mapping[str, str],
) -> None:
    """Open the MLflow run and train; close the run with its status however the training ends."""
    status = "FAILED"
    try:
        tracker.start(module.config, module.config["seed"], resumed, tags)
        uri = tracker.uri if isinstance(tracker, MLflowTracker) else ""
        measured = bool(uri) and module.config["trainer"]["system_metrics"] and tracker.started
        with handlers_kept(), system_metrics(measured, uri, tracker.run_id):
            trainer.fit(module, ckpt_path=str(resumed.checkpoint) if resumed else None)
        files: Any = trainer.strategy.checkpoint_io
        files.require_saved(tracker.run_dir / "checkpoints" / "last.ckpt")
        status = "FINISHED"
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits with 1
            status = "KILLED"
            raise SystemExit(130) from None
        raise
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        with signals_held():
            if tracker.started:
                _store_files(tracker)
                stopped = stop.signal is not None or status == "KILLED"
                tracker.close(_status_of_stopped(trainer, tracker) if stopped else status)


def _status_of_stopped(trainer: L.Trainer, tracker: Tracker) -> str:
    """FINISHED if all iterations were done and saved before the signal stopped the run."""
    files: Any = trainer.strategy.checkpoint_io
    is_saved = tracker.run_dir / "checkpoints" / "last.ckpt" not in files.failed
    is_done = trainer.current_epoch >= (trainer.max_epochs or 0)
    return "FINISHED" if is_done and is_saved else "KILLED"


# ---------------------------------------------------------------------- parts
def quiet() -> None:
    """Silence messages of Lightning and TorchRL that a user cannot act on."""
    for name in ("lightning.pytorch", "lightning.fabric", "torchrl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for message in (
        ".*logging interval.*",
        ".*Checkpoint directory .* exists.*",
        ".*Experiment logs directory .* exists.*",
        ".*could not find the monitored key.*",
        ".*sync_dist=True.*",
        ".*callbacks used to create the checkpoint need to be provided.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def _tracker(config: Config, folder: Path, run_id: str | None) -> Tracker:
    """What records the run: MLflow, or its folder and another logger."""
    name = config.trainer.logger
    if name != "mlflow":
        run = mlflow_name(config)
        return FolderTracker(folder, logger_of(name, folder, experiment_name(config), run))
    out = Path(config.out).resolve() if run_id is None else folder.parent
    uri = tracking_uri(out)
    experiment = experiment_name(config)
    open_store(uri, out, experiment)
    return MLflowTracker(uri, experiment, mlflow_name(config), folder, run_id)


def make_trainer(
    config: Config, folder: Path, tracker: Tracker, callbacks: Sequence[Callback]
) -> L.Trainer:
    """Lightning's Trainer, with checkpoints `best` and `last` and one progress bar.

    Several processes always use DDP without broadcast of buffers: the processes keep the
    statistics of the value normalization equal themselves.

    Raises:
        UsageError: this machine lacks the devices, or Lightning refuses an option; in Lightning's
            words.
    """
    options: dict[str, Any] = OmegaConf.to_container(config.trainer)  # type: ignore[assignment]
    options = {name: value for name, value in options.items() if name not in NOT_LIGHTNINGS}
    processes = number_of_processes(options["accelerator"], options["devices"])
    if options["strategy"] == "ddp" or processes * options["num_nodes"] > 1:
        options["strategy"] = DDPStrategy(broadcast_buffers=False)
    checkpoints = functools.partial(
        ModelCheckpointHere, folder / "checkpoints", enable_version_counter=False
    )
    best = checkpoints(filename="best", monitor=MONITOR, mode="max")
    last = checkpoints(filename="last")  # `best` is saved first, so that all others know it
    bars = [IterationBar()] if config.trainer.progress else []
    try:
        return L.Trainer(
            **options,
            logger=tracker,
            callbacks=[*callbacks, best, *monitors(config, folder), last, *bars],
            plugins=[AtomicCheckpoints(), *cluster_environment(processes)],
            default_root_dir=folder,
            enable_progress_bar=bool(bars),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=2**31,
            use_distributed_sampler=False,
        )
    except Exception as error:
        misconfigured = type(error).__name__ == "MisconfigurationException"  # not one public class
        if misconfigured or isinstance(error, ValueError | TypeError | RuntimeError):
            raise UsageError(f"trainer: {' '.join(str(error).split())}") from error
        raise


def monitors(config: Config, folder: Path) -> list[Callback]:
    """Early stopping and the checkpoints of the best evaluations, if the config has them."""
    found: list[Callback] = []
    options = config.trainer
    if options.early_stopping is not None:
        found.append(EvaluationStopping(options.early_stopping, options.early_stopping_delta))
    if options.save_top_k > 1:
        top = ModelCheckpointTop(
            folder / "checkpoints",
            filename="top-{epoch}",
            auto_insert_metric_name=False,
            enable_version_counter=False,
            monitor=MONITOR,
            mode="max",
            save_top_k=options.save_top_k,
        )
        found.append(top)
    return found


def _resumed(
    checkpoint: Path | None, content: dict[str, Any] | None, module: Training, trainer: L.Trainer
) -> Resumed | None:
    """The checkpoint that the run continues, and the config keys that it changes."""
    if checkpoint is None or content is None:
        return None
    old = flatten(content["ilvf"]["config"])
    new = flatten(module.config)
    changes = {key: value for key, value in new.items() if old.get(key) != value}
    frames = content["ilvf"]["state"]["frames"]
    following = frames + _frames_of_an_iteration(module, trainer)
    repeats = repeats_iteration(content["epoch"] + 2, old, new)
    return Resumed(checkpoint, frames, following, changes, repeats)


def _frames_of_an_iteration(module: Training, trainer: L.Trainer) -> int:
    """Environment frames of one iteration, over all processes."""
    return module.options.num_envs * module.options.rollout_steps * trainer.world_size


def _store_files(tracker: Tracker) -> None:
    """Copy checkpoints and metrics of the run's folder to the store, and the best policy."""
    checkpoints = []
    for name in ("best", "last"):
        path = tracker.run_dir / "checkpoints" / f"{name}.ckpt"
        if path.exists():
            checkpoints.append(path)
            tracker.artifact(path, "checkpoints")
    if checkpoints:
        tracker.policy(checkpoints[0])
    metrics = tracker.run_dir / METRICS
    if metrics.exists():
        tracker.artifact(metrics)
