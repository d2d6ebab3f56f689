"""A worker as a Ray actor, on any machine of a Ray cluster."""

import logging
from typing import Any

from ilvf.collectors.serving import Service, WorkerDied
from ilvf.errors import UsageError, require
from ilvf.options import one_line


class RayWorker:
    """A Ray actor with one CPU that answers orders.

    Args:
        plan: a pickled `Plan`.
        number: of the worker.

    Attributes:
        actor: Ray's handle of it.
    """

    def __init__(self, plan: bytes, number: int):
        import ray

        remote: Any = ray.remote(num_cpus=1, max_restarts=0)(Service)
        self.actor = remote.remote(plan)
        self._pending: Any = None

    def ask(self, order: bytes) -> None:
        """Send an order; `answer` tells if the actor has died."""
        self._pending = self.actor.answer.remote(order)

    def answer(self) -> bytes:
        """The answer to the last order.

        Raises:
            WorkerDied: the actor, or its machine, has ended.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(self._pending)
        except RayTaskError as error:  # the actor lives, and something in it is wrong
            raise UsageError(f"a worker of Ray has failed: {reason_of(error)}") from error
        except RayError as error:
            raise WorkerDied(f"was lost ({reason_of(error)})") from error

    def end(self) -> None:
        """End the actor."""
        import ray

        ray.kill(self.actor)


def reason_of(error: Exception) -> str:
    """What an error of Ray says, without its name and the details."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[0]).rstrip(".")


def connect(workers: int) -> bool:
    """Connect to Ray, unless this process is connected already.

    Ray takes the cluster that RAY_ADDRESS names or that runs on this machine, or starts one here.

    Returns:
        Whether this call has connected; then `disconnect` ends it.

    Raises:
        UsageError: the cluster cannot be reached, or has fewer CPUs than workers.
    """
    import ray

    new = not ray.is_initialized()
    if new:
        try:
            ray.init(include_dashboard=False, logging_level=logging.WARNING)
        except Exception as error:  # Ray raises anything, also a plain Exception
            raise UsageError(
                f"trainer.collector=ray cannot reach or start Ray ({reason_of(error)}); start it "
                "by ray start --head, and correct or unset RAY_ADDRESS"
            ) from error
    found = int(ray.cluster_resources().get("CPU", 0))
    if new and found < workers:
        disconnect()
    require(
        found >= workers,
        f"trainer.collector_workers={workers} needs as many CPUs, and Ray has {found}; give fewer "
        "workers, or start Ray by ray start --head --num-cpus=N",
    )
    return new


def disconnect() -> None:
    """Leave the Ray cluster; ends it if this process has started it."""
    import ray

    ray.shutdown()
