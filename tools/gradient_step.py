"""Files of `ilvf` that run in one gradient step and in one iteration of ILVF-P on Encircle."""

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import lightning as L

import ilvf
from ilvf.algorithms.options import ALGORITHMS
from ilvf.envs import make_env

ALGORITHM = "ilvf_p"
PACKAGE = Path(ilvf.__file__).parent
ENV = {"n_agents": 4, "horizon": 5}
SIZES = {"num_envs": 2, "rollout_steps": 5, "epochs": 1, "minibatches": 2, "hidden": 8}
EVALUATION = {"eval_every": 100, "eval_episodes": 1}
RECORDED_EPOCH = 1  # the second: the set-up of the first one does not count


def trace() -> tuple[list[str], list[str]]:
    """(files of one gradient step, files of one iteration), relative to `src/ilvf`.

    A gradient step is `training_step` and the gradient clipping of one minibatch. An iteration is
    collecting, credit, minibatches and all gradient steps, without `envs/` and evaluation.
    """
    step = Recorder()
    iteration = Recorder()
    module = build()
    module.training_step = recorded(module.training_step, step)
    module.configure_gradient_clipping = recorded(module.configure_gradient_clipping, step)
    train(module, IterationRecorder(iteration))
    whole = step.files | iteration.files
    return sorted(step.files), sorted(f for f in whole if not f.startswith("envs/"))


def build() -> L.LightningModule:
    """The LightningModule of the algorithm, of a size that trains in a second."""
    config = ALGORITHMS[ALGORITHM](**SIZES, **EVALUATION)
    factory = functools.partial(make_env, "encircle", **ENV)
    env = factory(num_envs=1, seed=0)
    algorithm = importlib.import_module(f"ilvf.algorithms.{ALGORITHM}")
    return algorithm.build(config, factory, env, 0)


def train(module: L.LightningModule, callback: L.Callback) -> None:
    trainer = L.Trainer(
        max_epochs=RECORDED_EPOCH + 1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(module)


# ---------------------------------------------------------------------- recording
class Recorder:
    """Collects the files of the package whose functions are called between `start` and `stop`.

    Importing a module runs its top level, and defining a class runs its body; neither counts.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.before: Any = None

    def start(self) -> None:
        self.before = sys.getprofile()
        sys.setprofile(self.note)
        threading.setprofile(self.note)

    def stop(self) -> None:
        sys.setprofile(self.before)
        threading.setprofile(self.before)

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and is_function(frame.f_code) and path.is_relative_to(PACKAGE):
            self.files.add(str(path.relative_to(PACKAGE)))


def is_function(code: CodeType) -> bool:
    """Whether `code` belongs to a function, not to a module or the body of a class."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def recorded(function: Callable, recorder: Recorder) -> Callable:
    """`function`, with the recorder on during its calls."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        recorder.start()
        try:
            return function(*args, **kwargs)
        finally:
            recorder.stop()

    return call


class IterationRecorder(L.Callback):
    """Records one iteration, up to the end of its last gradient step."""

    def __init__(self, recorder: Recorder):
        self.recorder = recorder

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.current_epoch == RECORDED_EPOCH:
            self.recorder.start()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.current_epoch == RECORDED_EPOCH:
            self.recorder.stop()
