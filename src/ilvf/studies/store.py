"""What the MLflow store knows about the runs of a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilvf.checkpoints.files import read_checkpoint
from ilvf.errors import UsageError
from ilvf.experiment.membership import STUDY_ID
from ilvf.experiment.store import SQLITE, first_line, tracking_uri
from ilvf.studies.description import Study
from ilvf.studies.identity import identity
from ilvf.studies.plan import PlannedRun
from ilvf.studies.processes import experiment_of

STATUS = "status"  # of a run in MLflow, beside its tags


def tags_in_store(study: Study, folder: Path, run: PlannedRun) -> dict[str, str]:
    """The tags of a run in MLflow, with its ids and its status; empty if it is not there.

    A store that fails does not end the study.

    Args:
        folder: of the study, with the store.
    """
    uri = tracking_uri(folder)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        return {}
    from mlflow.tracking import MlflowClient

    try:
        return newest_tags(MlflowClient(uri), experiment_of(study), run, identity(folder))
    except Exception as error:  # a store can raise anything; its first line says what
        reason = first_line(error)
        print(f"note: MLflow failed ({reason}); {run.folder} has no versions in runs.csv")
        return {}


def newest_tags(client: Any, experiment: str, run: PlannedRun, mark: str) -> dict[str, str]:
    """The tags of the newest MLflow run of a study's run.

    Args:
        mark: identity of the study's folder; a run without one is of an older version.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return {}
    with_seed = client.search_runs(
        [found.experiment_id],
        f"tags.seed = '{run.seed}'",
        order_by=["attributes.start_time DESC"],
        max_results=5000,
    )
    for candidate in with_seed:
        tags = candidate.data.tags
        found_here = (tags.get("task"), tags.get("algorithm"), tags.get(STUDY_ID, mark))
        if found_here == (run.task, run.algorithm, mark):
            info = candidate.info
            ids = {"experiment_id": found.experiment_id, "run_id": info.run_id}
            return {**tags, **ids, STATUS: info.status}
    return {}


def has_finished(checkpoint: Path, run: PlannedRun, tags: Mapping[str, str]) -> bool:
    """Was a run closed; if the store does not know it, does its checkpoint have its last frame?

    Args:
        checkpoint: the run's last.
        tags: see `tags_in_store`.
    """
    if STATUS in tags:
        return tags[STATUS] == "FINISHED"
    try:
        return read_checkpoint(checkpoint)["ilvf"]["state"]["frames"] == run.frames
    except UsageError:
        return False
