"""Two folders of one study on the same MLflow server."""

import pytest
from mlflow.tracking import MlflowClient

from ilvf.experiment.membership import membership
from ilvf.studies.identity import identity
from ilvf.studies.parent import ParentRun
from ilvf.studies.plan import planned_runs
from ilvf.studies.processes import experiment_of, job_of
from ilvf.studies.store import tags_in_store
from study_helpers import small_study


@pytest.fixture
def folders(out, monkeypatch):
    """Two users' folders, with one store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{out / 'mlflow.db'}")
    made = [out / "one", out / "two"]
    for folder in made:
        folder.mkdir()
    return made


def test_each_folder_has_its_parent_and_its_runs(folders, out):
    study = small_study()
    run = planned_runs(study)[0]
    parents = [ParentRun(study, folder).run_id for folder in folders]
    assert parents[0] != parents[1]
    assert ParentRun(study, folders[0]).run_id == parents[0]
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    number = client.get_experiment_by_name(experiment_of(study)).experiment_id
    made = []
    for folder, parent in zip(folders, parents, strict=True):
        member = membership(job_of(run, study, folder, parent).variables)
        tags = {**member.tags, "seed": str(run.seed)}
        made.append(client.create_run(number, tags=tags).info.run_id)
    found = [tags_in_store(study, folder, run)["run_id"] for folder in folders]
    assert found == made


def test_a_damaged_identity_is_refused(tmp_path, refused):
    (tmp_path / "study.id").write_bytes(b"\xff")
    with refused("study.id cannot be used", "delete it"):
        identity(tmp_path)
