"""The saved view *Rewards* of an experiment's charts in MLflow.

MLflow sorts its charts by name, and shows a parent of seeds instead of its runs. In this view the
charts of the rewards come first, and each setting has a curve: the mean over its seeds, with a band
from the lowest to the highest. MLflow keeps a saved view as a tag of the experiment.
"""

import json
import time
from typing import Any

SETTING = "setting"  # tag of a run: its name without the seed
VIEW = "rewards"  # id of the view
FIRST = ("eval/return", "eval/reward", "return", "reward")  # groups of charts
NAME = "attributes.`Run Name`"  # column of the table
COLUMNS = ("attributes.`Models`", "metrics.`eval/return/team`")  # besides name, time and duration
WIDTH = 360  # of the names [pixels]


def save_view(client: Any, experiment_id: str) -> None:
    """Save the view with an experiment, unless it has it.

    Args:
        client: of MLflow.
    """
    tag = f"mlflow.sharedViewState.{VIEW}"
    if tag not in client.get_experiment(experiment_id).tags:
        client.set_experiment_tag(experiment_id, tag, view())


def view() -> str:
    """The view, as MLflow saves it.

    What it does not say is as in MLflow's default view; groups of charts that it does not name
    follow those that it names.
    """
    sections = []
    for name in FIRST:
        sections.append({"uuid": name, "name": name, "display": True, "isReordered": False})
    by_setting = {"mode": "tag", "groupByData": SETTING}
    state: dict[str, Any] = {
        "compareRunCharts": [],
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "selectedColumns": COLUMNS,
        "columnOrder": [NAME],
        "columnWidths": {NAME: WIDTH},
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [by_setting]},
    }
    now = int(time.time() * 1000)
    found = {"name": "Rewards", "createdAt": now, "updatedAt": now, "state": json.dumps(state)}
    return json.dumps(found)
