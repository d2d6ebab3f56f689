"""A trainer for benchmarks that need a whole training loop and nothing stored."""

import lightning as L


def quiet_trainer(iterations: int, *callbacks: L.Callback) -> L.Trainer:
    """A trainer on the CPU without logger, checkpoints and output."""
    return L.Trainer(
        max_epochs=iterations,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
