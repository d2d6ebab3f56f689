"""Records on their way to a store that may fail: they are kept and sent later."""

import time
from collections.abc import Callable

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from ilvf.experiment.store import first_line

RETRY_AFTER = 60.0  # [s] between attempts to reach a store that failed
Send = Callable[[], object]


class Outbox:
    """Sends records in their order.

    Files and metrics wait separately, so that files never delay metrics. The first failure is
    told once, the others are not.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Send]] = {"metrics": [], "files": []}
        self._failed_at: dict[str, float] = {}
        self._warned = False

    @property
    def missing(self) -> int:
        """The number of records that wait."""
        return sum(map(len, self._waiting.values()))

    def send(self, send: Send, kind: str = "metrics") -> None:
        """Send what is waiting of this kind, then call `send`; keep it if the store fails."""
        waiting = self._waiting[kind]
        waiting.append(send)
        if time.monotonic() - self._failed_at.get(kind, float("-inf")) < RETRY_AFTER:
            return
        try:
            while waiting:
                waiting[0]()
                waiting.pop(0)
        except Exception as error:  # no error of a store or a network may end the training
            self._failed_at[kind] = time.monotonic()
            self.warn_once(f"MLflow failed ({first_line(error)})")

    def retry(self) -> None:
        """Let the next call of `send` try again at once."""
        self._failed_at = {}

    def warn_once(self, what: str) -> None:
        """Say that something cannot be written, at the first time."""
        if not self._warned:
            self._warned = True
            rank_zero_warn(f"{what}; training continues, records are kept and sent later")
