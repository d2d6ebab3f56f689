"""One training run from a resolved config: folder, store, trainer, checkpoints, ending."""

import datetime
import functools
import logging
import os
import signal
import sys
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy

from ilvf.algorithms.base import Training
from ilvf.checkpoints.files import RESUMED, AtomicCheckpoints, read_checkpoint
from ilvf.checkpoints.fit import require_fit
from ilvf.errors import UsageError, require, require_choice
from ilvf.experiment.callbacks import CleanStop, IterationBar
from ilvf.experiment.command_line import Config, flatten
from ilvf.experiment.memory import keep_memory
from ilvf.experiment.seeds import run_seeds
from ilvf.experiment.tracking import METRICS, MLflowTracker, open_store, tracking_uri

RUN_DIR = "ILVF_RUN_DIR"  # tells the other processes of a run where it lives
MONITOR = "eval/return/team"


def train(
    name: str, cfg: Config, build: Callable[[Config], Training], callbacks: Sequence[Callback] = ()
) -> Training | None:
    """Run the algorithm that `build` makes from the config, as the config says; `name` is the algorithm's.

    Returns:
        the trained module, or None if several seeds were run.
    """
    if cfg["seeds"] is not None:
        run_seeds(cfg)
        return None
    _quiet()
    keep_memory()
    require(
        cfg["trainer"]["threads"] >= 0,
        f"trainer.threads={cfg['trainer']['threads']} must not be negative",
    )
    if cfg["trainer"]["threads"]:
        torch.set_num_threads(cfg["trainer"]["threads"])
    require(0 <= cfg["seed"] < 2**32, f"seed={cfg['seed']} must be between 0 and 2^32 - 1")
    L.seed_everything(cfg["seed"], verbose=False)
    module = build(cfg)
    module.config = {k: v for k, v in cfg.items() if k != "resume"}
    resume = Path(cfg["resume"]) if cfg["resume"] else None
    if resume:
        os.environ[RESUMED] = str(resume)
    content = read_checkpoint(resume) if resume else None
    if resume and content:
        require_fit(resume, content, module)
    run_dir = _run_dir(name, cfg, resume)
    tracker = _tracker(name, cfg, run_dir, content["ilvf"]["run"] if content else None)
    stop = CleanStop()
    trainer = _trainer(cfg, run_dir, tracker, [stop, *callbacks])
    if content:
        _require_same_size(content, module, trainer)
        module.require_complete(Path(cfg["resume"]), content)
    tracker.start(module.config, cfg["seed"], _changes(content, module))
    status = "FAILED"
    try:
        trainer.fit(module, ckpt_path=str(resume) if resume else None)
        status = "FINISHED"
    finally:
        _store_checkpoints(tracker, run_dir)
        tracker.close("KILLED" if stop.signal else status)
    if trainer.is_global_zero:
        _report(module, tracker, run_dir, stop.signal)
    if stop.signal:
        raise SystemExit(128 + stop.signal)
    return module


# ---------------------------------------------------------------------- parts
def _quiet() -> None:
    for name in ("lightning.pytorch", "lightning.fabric", "torchrl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings(
        "ignore", message=".*logging interval.*|.*Checkpoint directory .* exists.*"
    )
    warnings.filterwarnings("ignore", message=".*could not find the monitored key.*")


def _run_dir(name: str, cfg: Config, resume: Path | None) -> Path:
    """The folder of a resumed run, the one another process of this run has made, or a new one."""
    if RUN_DIR in os.environ and "LOCAL_RANK" in os.environ:
        return Path(os.environ[RUN_DIR])
    if resume is not None and resume.parent.name == "checkpoints":
        path = resume.parent.parent
    else:
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        path = (
            Path(cfg["out"])
            / f"{name}-{cfg['env']['name']}-s{cfg['seed']}-{stamp}-{uuid.uuid4().hex[:4]}"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"out={cfg['out']}: the folder {path} cannot be made ({error.strerror})"
        ) from error
    os.environ[RUN_DIR] = str(path.resolve())
    return path.resolve()


def _tracker(name: str, cfg: Config, run_dir: Path, run_id: str | None) -> MLflowTracker:
    out = Path(cfg["out"]).resolve() if run_id is None else run_dir.parent
    uri, experiment = (
        tracking_uri(out),
        "/".join(filter(None, (cfg["env"]["name"], cfg["env"].get("task")))),
    )
    if not (out / "mlflow.db").exists() and uri.startswith("sqlite"):
        print(f"creating the MLflow store {out / 'mlflow.db'} (once, 10 to 30 s)", flush=True)
    open_store(uri, out, experiment)
    return MLflowTracker(uri, experiment, f"{name}-s{cfg['seed']}", run_dir, run_id)


def _trainer(
    cfg: Config, run_dir: Path, tracker: MLflowTracker, callbacks: Sequence[Callback]
) -> L.Trainer:
    options = {k: v for k, v in cfg["trainer"].items() if k not in ("threads", "progress")}
    require_choice("trainer.precision", options["precision"], ("32-true", "bf16-mixed"))
    require(
        options["max_epochs"] >= 1, f"trainer.max_epochs={options['max_epochs']} must be at least 1"
    )
    if options["strategy"] == "ddp":
        options["strategy"] = DDPStrategy(broadcast_buffers=False)
    keep = functools.partial(ModelCheckpoint, run_dir / "checkpoints", enable_version_counter=False)
    saves = [
        keep(filename="best", monitor=MONITOR, mode="max"),
        keep(filename="last"),
    ]  # last knows what is best
    bar = [IterationBar()] if cfg["trainer"]["progress"] else []
    try:
        return L.Trainer(
            **options,
            logger=tracker,
            callbacks=[*callbacks, *saves, *bar],
            plugins=[AtomicCheckpoints()],
            default_root_dir=run_dir,
            enable_progress_bar=bool(bar),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=2**31,
            use_distributed_sampler=False,
        )
    except (ValueError, TypeError, RuntimeError) as error:
        # Lightning explains a wrong accelerator, device count, strategy or precision in its own words
        raise UsageError(f"trainer: {error}") from error
    except Exception as error:
        if type(error).__name__ == "MisconfigurationException":
            raise UsageError(f"trainer: {error}") from error
        raise


def _require_same_size(content: dict[str, Any], module: Training, trainer: L.Trainer) -> None:
    """What a checkpoint holds for every process must find its place."""
    ranks = content["ilvf"]["state"]["ranks"]
    require(
        len(ranks) == trainer.world_size,
        f"the checkpoint is of {len(ranks)} processes, this run has {trainer.world_size}; use the same trainer.devices",
    )
    found = {len(v) for k, v in ranks[0]["env"].items() if k != "rng"}
    require(
        found <= {module.num_envs},
        f"the checkpoint has {found} environments a process, this run {module.num_envs}; leave out algorithm.num_envs",
    )


def _changes(content: dict[str, Any] | None, module: Training) -> dict[str, Any]:
    """The config keys that a resumed run changes."""
    old = flatten(content["ilvf"]["config"]) if content else None
    return (
        {} if old is None else {k: v for k, v in flatten(module.config).items() if old.get(k) != v}
    )


def _store_checkpoints(tracker: MLflowTracker, run_dir: Path) -> None:
    for name in ("best", "last"):
        path = run_dir / "checkpoints" / f"{name}.ckpt"
        if path.exists():
            tracker.artifact(path, "checkpoints")
    if (run_dir / METRICS).exists():
        tracker.artifact(run_dir / METRICS)


def _report(
    module: Training, tracker: MLflowTracker, run_dir: Path, signal_number: int | None
) -> None:
    """The last words of a run."""
    found = {
        k.removeprefix("eval/"): v for k, v in module.last_metrics.items() if k.startswith("eval/")
    }
    if signal_number is not None:
        print(f"stopped by {signal.Signals(signal_number).name} after {module.frames} frames")
    if found:
        print(f"evaluation of {module.eval_episodes} episodes after {module.frames} frames:")
        print("\n".join(f"  {k:<24}{v:12.4f}" for k, v in found.items()))
    last = run_dir / "checkpoints" / "last.ckpt"
    print(f"checkpoint   {last}")
    print(f"continue     {sys.executable} {sys.argv[0]} resume={last} trainer.max_epochs=...")
    print(f"MLflow run   {tracker.run_id}")
    uri = tracker._tracking_uri
    print(
        f"open it at   {uri}"
        if uri.startswith("http")
        else f"open it by   {Path(sys.executable).with_name('mlflow')} ui --backend-store-uri {uri}",
        flush=True,
    )
