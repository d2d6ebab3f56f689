"""A trainer for benchmarks that need a whole training loop and nothing stored."""

import lightning as L

from ilvf.algorithms import base


def quiet_trainer(iterations: int, *callbacks: L.Callback, accelerator: str = "cpu") -> L.Trainer:
    """A trainer on one device without logger, checkpoints and output."""
    return L.Trainer(
        max_epochs=iterations,
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


def without_evaluation() -> None:
    """In this process, the last iteration of a training is not evaluated."""
    base.evaluated_metrics = lambda module: {}
