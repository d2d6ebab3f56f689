"""Lightning's early stopping and best checkpoints, on the return of evaluations.

Lightning looks at a metric after every epoch. Between evaluations the return of the last one is
still there, which must not count twice.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from ilvf.algorithms.evaluating import EvaluationCallback
from ilvf.checkpoints.lightning_state import PATHS
from ilvf.errors import require

MONITOR = "eval/return/team"


class AfterEvaluation(EvaluationCallback):
    """Lets another callback look at the iterations that were evaluated, alone."""

    due = False

    def on_evaluation(self, trainer: Any, module: Any, env: Any, rollout: Any) -> None:
        """Note that this iteration counts."""
        self.due = True

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Hand on to the other callback."""
        if self.due:
            self.due = False
            super().on_train_epoch_end(trainer, module)


class EvaluationStopping(AfterEvaluation, EarlyStopping):
    """Ends a run after `patience` evaluations in a row without a better return of the team.

    Args:
        patience: evaluations.
        min_delta: least improvement that counts.
    """

    def __init__(self, patience: int, min_delta: float):
        super().__init__(MONITOR, min_delta, patience, mode="max", check_finite=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to count; the patience is that of the config.

        Raises:
            UsageError: the state is damaged.
        """
        require(
            is_stopping_state(state_dict),
            "the checkpoint's state of early stopping is damaged; resume with "
            "trainer.early_stopping=null",
        )
        super().load_state_dict({**state_dict, "patience": self.patience})


class ModelCheckpointHere(ModelCheckpoint):
    """Keeps what it knows of the best checkpoint when its run's folder has been moved.

    Lightning's forgets it, so that the next evaluation would replace a better `best.ckpt`. Its name
    begins as Lightning's does, so that the paths in its state are checked, too.
    """

    @property
    def state_key(self) -> str:
        """That of Lightning's, in checkpoints of every version."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the checkpoints of the run's folder, where that is now."""
        super().load_state_dict(moved(state_dict, Path(self.dirpath or "")))


class ModelCheckpointTop(AfterEvaluation, ModelCheckpointHere):
    """Keeps the checkpoints of the best evaluations: `top-ITERATION.ckpt`."""

    state_key = ModelCheckpoint.state_key  # with its own name


def moved(state: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The state of a `ModelCheckpoint` whose folder is now `folder`.

    Files that are not in it belong to another run, from which a checkpoint was copied. Then nothing
    changes.
    """
    old = Path(state.get("dirpath") or "")

    def here(path: str) -> str:
        file = Path(path)
        return str(folder / file.name) if path and file.parent == old else path

    best = state.get("best_model_path") or ""
    if here(best) == best or not Path(here(best)).is_file():
        return dict(state)
    paths = {name: here(state[name]) for name in PATHS if state.get(name)}
    models = {here(path): score for path, score in state.get("best_k_models", {}).items()}
    return {**state, **paths, "best_k_models": models, "dirpath": str(folder)}


def is_stopping_state(state: Mapping[str, Any]) -> bool:
    """Has the state of `EarlyStopping` its counts and the best score?"""
    counts = [state.get(name) for name in ("wait_count", "stopped_epoch")]
    score = getattr(state.get("best_score"), "numel", lambda: 0)()
    return all(type(count) is int and count >= 0 for count in counts) and score == 1
