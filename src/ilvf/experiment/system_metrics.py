"""MLflow's measurements of the machine during a run: processor, memory, disk, network, GPUs."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def system_metrics(wanted: bool, uri: str, run_id: str | None) -> Iterator[None]:
    """Measure the machine in a thread during the block, which ends with it however it ends.

    The metrics are `system/...`, at most one row in ten seconds
    (`MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`). Their step counts rows, not frames.

    Args:
        wanted: otherwise nothing happens.
        uri: of the store.
        run_id: of the MLflow run.
    """
    if not wanted:
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
