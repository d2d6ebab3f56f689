"""The study or the set of seeds that a run belongs to.

`ilvf study` and `seeds=0-4` start every run in a process of its own and say by an environment
variable how the run is named and filed. A run that a user has started has no membership.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ilvf.errors import require

STUDY_RUN = "ILVF_STUDY_RUN"  # environment variable: the membership as JSON
PARENT = "mlflow.parentRunId"  # tag by which MLflow shows a run below another
STUDY_ID = "study.id"  # tag: the identity of the study's folder
SHOWN_BY = (PARENT, STUDY_ID, "study", "task", "algorithm")  # tags by which a run is found


@dataclass(frozen=True)
class Membership:
    """How a run of a study or of a set of seeds is named and filed.

    Attributes:
        experiment: the MLflow experiment.
        name: of the run in MLflow, such as "ILVF-P (threshold), seed 0".
        folder: name of the run's folder below `out`.
        tags: of the run in MLflow: its parent, and in a study also study, task and algorithm.
    """

    experiment: str
    name: str
    folder: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """The environment variables of the run's process."""
        return {STUDY_RUN: json.dumps(asdict(self))}


def membership(environment: Mapping[str, str] = os.environ) -> Membership | None:
    """The membership of this process's run, or None.

    Raises:
        UsageError: the environment variable is not what `Membership.variables` makes.
    """
    text = environment.get(STUDY_RUN)
    if text is None:
        return None
    try:
        found = Membership(**json.loads(text))
    except (ValueError, TypeError):
        found = None
    require(found is not None, f"the environment variable {STUDY_RUN} is damaged; unset it")
    return found
