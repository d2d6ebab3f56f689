"""Callbacks of a run: one progress bar over iterations, and a clean stop."""

import signal
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm


class IterationBar(ProgressBar):
    """One bar over all iterations, with the team's return and the speed."""

    SHOWN: ClassVar = {
        "return/team": "return",
        "eval/return/team": "eval",
        "time/frames_per_s": "frames/s",
    }

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm | None = None
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.enabled and trainer.is_global_zero:
            self.bar = tqdm(
                total=trainer.max_epochs,
                initial=trainer.current_epoch,
                unit="it",
                dynamic_ncols=True,
            )

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.bar is not None:
            self._show(trainer)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.bar is not None:
            self._show(trainer)
            self.bar.n = trainer.current_epoch
            self.bar.close()
            self.bar = None

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _show(self, trainer: Trainer) -> None:
        assert self.bar is not None
        known = trainer.callback_metrics
        shown = {name: f"{known[key]:.1f}" for key, name in self.SHOWN.items() if key in known}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(trainer.current_epoch - self.bar.n)


class CleanStop(Callback):
    """SIGINT and SIGTERM stop the run after its iteration, which is saved.

    A second signal stops at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.forced = False  # a second signal came

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # Lightning restores the old handlers
            signal.signal(number, lambda n, _: self._ask(n, trainer, module))

    def _ask(self, number: int, trainer: Trainer, module: Any) -> None:
        if self.signal is not None:
            self.forced = True
            raise KeyboardInterrupt
        self.signal = number
        module.stop_requested = True
        if trainer.is_global_zero:
            tqdm.write("stopping after this iteration, with a checkpoint (again: stop at once)")
