"""The MLflow run of a study, below which MLflow shows the runs of its algorithms."""

from pathlib import Path

from ilvf.experiment.membership import STUDY_ID
from ilvf.experiment.parent import Parent
from ilvf.experiment.presentation import DESCRIPTION
from ilvf.studies.description import Study
from ilvf.studies.identity import identity
from ilvf.studies.processes import experiment_of, study_label

IS_PARENT = "study.parent"  # tag of the study's own run


class ParentRun(Parent):
    """The MLflow run of a study: a new one, or that of an earlier call.

    Args:
        study: what runs.
        folder: of the study, with the store.

    Raises:
        UsageError: the store cannot be used.
    """

    def __init__(self, study: Study, folder: Path):
        label = study_label(study)
        super().__init__(
            folder,
            experiment_of(study),
            label,
            tags={
                IS_PARENT: "true",
                STUDY_ID: identity(folder),
                "study": label,
                DESCRIPTION: description_of(study),
            },
            parameters={
                "study": study.name,
                "scale": study.scale_name,
                "seeds": study.scale.seeds,
            },
            unique=(IS_PARENT, STUDY_ID),
        )


def description_of(study: Study) -> str:
    """What a study is, and the command that repeats and continues it, in Markdown."""
    lines = [
        f"**{study.title}**, scale {study.scale_name}, seeds {study.scale.seeds}. "
        "The runs are below this one; the report is `report.md`.",
        study.about,
    ]
    if study.command:
        lines.append(f"Repeat or continue: `{study.command}`")
    return "\n\n".join(line for line in lines if line)
