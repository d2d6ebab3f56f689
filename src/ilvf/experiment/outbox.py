"""Records on their way to a store that may fail: they are kept and sent later."""

import time
from collections.abc import Callable

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from ilvf.experiment.store import first_line

RETRY_AFTER = 60.0  # [s] between attempts to reach a store that failed
Send = Callable[[], object]


class Outbox:
    """Sends records in their order.

    Files and metrics wait separately, so that files never delay metrics. A file that the store
    refuses twice, while it takes the newest one, is left out: it would hold up all others. The
    first failure is told once, the others are not.

    Args:
        store: its name, for that sentence.

    Attributes:
        left_out: the number of files that the store did not take.
    """

    def __init__(self, store: str = "MLflow") -> None:
        self.store = store
        self._waiting: dict[str, list[Send]] = {"metrics": [], "files": []}
        self._failed_at: dict[str, float] = {}
        self._warned = False
        self.left_out = 0

    @property
    def missing(self) -> int:
        """The number of records that wait."""
        return sum(map(len, self._waiting.values()))

    def send(self, send: Send, kind: str = "metrics") -> None:
        """Send what is waiting of this kind, then call `send`; keep it if the store fails."""
        self._waiting[kind].append(send)
        if time.monotonic() - self._failed_at.get(kind, float("-inf")) >= RETRY_AFTER:
            self.flush(kind)

    def flush(self, kind: str) -> None:
        """Send what is waiting of this kind."""
        try:
            self._send_all(self._waiting[kind], in_order=kind == "metrics")
        except Exception as error:  # no error of a store or a network may end the training
            self._failed_at[kind] = time.monotonic()
            self.warn_once(f"{self.store} failed ({first_line(error)})")

    def _send_all(self, waiting: list[Send], in_order: bool) -> None:
        """Send and remove records until one fails.

        Args:
            in_order: no record may be sent before an older one, nor be left out.
        """
        while waiting:
            try:
                waiting[0]()
            except Exception:  # see `flush`
                if in_order or not took_newest(waiting):
                    raise
                self._send_or_leave_out(waiting[0])
            waiting.pop(0)

    def _send_or_leave_out(self, send: Send) -> None:
        """Try a file again, of a store that takes others."""
        try:
            send()
        except Exception as error:  # see `flush`
            self.left_out += 1
            reason = first_line(error)
            self.warn_once(f"{self.store} does not take a file ({reason}), which is left out")

    def retry(self) -> None:
        """Let the next call of `send` try again at once."""
        self._failed_at = {}

    def warn_once(self, what: str) -> None:
        """Say that something cannot be written, at the first time."""
        if not self._warned:
            self._warned = True
            rank_zero_warn(f"{what}; training continues, records are kept and sent later")


def took_newest(waiting: list[Send]) -> bool:
    """Send the newest of several records out of turn: does the store take it?"""
    if len(waiting) < 2:
        return False
    try:
        waiting[-1]()
    except Exception:  # see `Outbox.flush`
        return False
    waiting.pop()
    return True
