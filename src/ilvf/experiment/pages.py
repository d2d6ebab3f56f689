"""MLflow's pages in a browser: the command that serves them, and their addresses."""

import os
import shlex
from urllib.parse import urlsplit

from ilvf.experiment.saved_view import VIEW
from ilvf.experiment.store import URI_VARIABLE

LOCAL = "http://127.0.0.1:5000"  # where `mlflow ui` shows a local store


def ui_command(uri: str, program: str = "mlflow") -> str:
    """The command that shows a local store in a browser.

    One worker is enough for one reader, and MLflow's jobs, which nothing here uses, would be eight
    more processes.
    """
    serve = shlex.join([program, "ui", "--workers", "1", "--backend-store-uri", uri])
    return f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {serve}"


def server() -> str:
    """The address of MLflow's pages: the server of the runs, or a local one."""
    uri = os.environ.get(URI_VARIABLE, "")
    if not uri.startswith("http"):
        return LOCAL
    parts = urlsplit(uri)
    place = parts.netloc.rpartition("@")[2]  # without a password
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def run_page(experiment_id: str, run_id: str) -> str:
    """The address of a run's page."""
    return f"{server()}/#/experiments/{experiment_id}/runs/{run_id}"


def charts_page(experiment_id: str) -> str:
    """The address of the charts of an experiment, in the view *Rewards*."""
    query = f"compareRunsMode=CHART&viewStateShareKey={VIEW}"
    return f"{server()}/#/experiments/{experiment_id}/runs?{query}"
