"""What algorithms are compared with: the baseline, or the best of several on each task."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ilvf.studies.description import Study, StudyTask


@dataclass(frozen=True)
class Reference:
    """The best of some algorithms on each task.

    Attributes:
        title: in tables.
        algorithms: their titles.
    """

    title: str
    algorithms: Sequence[str]

    def on(self, values: pd.DataFrame, task: StudyTask) -> str | None:
        """The title of the best on a task, by the mean over seeds; None if none has run.

        Args:
            values: one value per run, a column an algorithm and a row a seed.
        """
        means = values[[title for title in self.algorithms if title in values]].mean().dropna()
        if means.empty:
            return None
        return str(means.idxmin() if task.better == "lower" else means.idxmax())


def references_of(study: Study) -> list[Reference]:
    """The baseline, if there is one, and the references of the study."""
    baseline = [Reference(study.baseline, [study.baseline])] if study.baseline else []
    return baseline + [Reference(title, found) for title, found in study.references.items()]
