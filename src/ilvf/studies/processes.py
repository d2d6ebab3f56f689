"""The processes that train a study's runs."""

import sys
from pathlib import Path

from ilvf.experiment.jobs import Job
from ilvf.experiment.membership import PARENT, STUDY_ID, Membership
from ilvf.studies.description import Study
from ilvf.studies.identity import identity
from ilvf.studies.plan import PlannedRun


def job_of(run: PlannedRun, study: Study, folder: Path, parent: str) -> Job:
    """The process of a run, which continues from the last checkpoint if there is one.

    Args:
        folder: of the study.
        parent: id of the study's MLflow run.
    """
    checkpoint = folder / run.folder / "checkpoints" / "last.ckpt"
    command = [sys.executable, "-m", "ilvf", "train", run.recipe]
    if checkpoint.is_file():
        command += [f"resume={checkpoint}", *arguments_that_resume(run)]
    else:
        command += run.arguments
    member = Membership(
        experiment=experiment_of(study),
        name=f"{run.algorithm}, seed {run.seed}",
        folder=run.folder,
        tags={
            PARENT: parent,
            STUDY_ID: identity(folder),
            "study": study_label(study),
            "task": run.task,
            "algorithm": run.algorithm,
        },
    )
    log = folder / "logs" / f"{run.folder}.log"
    return Job((*command, f"out={folder}"), log, member.variables())


def arguments_that_resume(run: PlannedRun) -> list[str]:
    """The arguments of a run that continues: environment and preset are in the checkpoint."""
    return [a for a in run.arguments if a.partition("=")[0] not in ("env", "preset")]


def study_label(study: Study) -> str:
    """The study and its scale, such as `fig3-cpu`."""
    return f"{Path(study.name).name.removesuffix('.yaml')}-{study.scale_name}"


def experiment_of(study: Study) -> str:
    """The MLflow experiment of a study."""
    return f"study/{study_label(study)}"
