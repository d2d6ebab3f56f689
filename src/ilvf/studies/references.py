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
        """The title of the best on a task, by the mean over the seeds that all have.

        Without such a seed it is the mean over each one's own. It is None if none has run.

        Args:
            values: one value per run, a column an algorithm and a row a seed.
        """
        own = values[[title for title in self.algorithms if title in values]]
        own = own.dropna(axis="columns", how="all")
        shared = own.dropna()
        means = (own if shared.empty else shared).mean()
        if means.empty:
            return None
        return str(means.idxmin() if task.better == "lower" else means.idxmax())


def references_of(study: Study) -> list[Reference]:
    """The baseline, if there is one, and the references of the study."""
    baseline = [Reference(study.baseline, [study.baseline])] if study.baseline else []
    return baseline + [Reference(title, found) for title, found in study.references.items()]
