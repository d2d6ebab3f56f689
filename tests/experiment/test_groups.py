"""Finished runs in groups that can be compared."""

import pandas as pd
import pytest

from ilvf.errors import UsageError
from ilvf.experiment.groups import find_label, group_runs
from ilvf.experiment.history import FinishedRun

PARAMS = {"env.name": "encircle", "env.n_agents": "10", "algorithm.tau": "1.0", "out": "runs"}


def run(title="ILVF-P", seed=0, frames=80, value=1.0, **changes):
    params = PARAMS | {key.replace("__", "."): text for key, text in changes.items()}
    curve = pd.Series({frames: value}, name=seed)
    return FinishedRun(title, params, frames, curve)


def sizes(panels):
    """Heading → label → number of curves."""
    return {
        heading: {label: len(curves) for label, curves in groups.items()}
        for heading, groups in panels.items()
    }


def test_labels_are_names_of_algorithms():
    elsewhere = {"out": "elsewhere", "trainer__collector": "ray", "trainer__early_stopping": "5"}
    runs = [run(), run(seed=1, **elsewhere), run("MAPPO")]
    assert sizes(group_runs(runs)) == {"encircle": {"ILVF-P": 2, "MAPPO": 1}}


def test_what_differs_within_an_algorithm_is_in_its_labels_alone():
    runs = [run(), run(algorithm__tau="0.5"), run("MAPPO", algorithm__tau="0.5")]
    labels = {"ILVF-P, τ=0.5": 1, "ILVF-P, τ=1.0": 1, "MAPPO": 1}
    assert sizes(group_runs(runs)) == {"encircle": labels}


def test_runs_of_other_tasks_and_lengths_have_panels_of_their_own():
    runs = [
        run(),
        run(env__n_agents="20"),
        run(frames=160, trainer__max_epochs="4"),
        run(env__name="pettingzoo", env__task="zoo", env__n_agents="3"),
    ]
    assert sizes(group_runs(runs)) == {
        "encircle, n=10, 160 frames": {"ILVF-P": 1},
        "encircle, n=10, 80 frames": {"ILVF-P": 1},
        "encircle, n=20, 80 frames": {"ILVF-P": 1},
        "pettingzoo/zoo, 80 frames": {"ILVF-P": 1},
    }


def test_runs_of_unknown_tasks_come_last():
    """They have no parameters, such as those of another program."""
    strange = FinishedRun("MAPPO", {}, 80, pd.Series({80: 1.0}, name=0))
    panels = group_runs([strange, run(env__name="vmas", env__task="balance"), run()])
    assert [heading.partition(",")[0] for heading in panels] == [
        "encircle",
        "vmas/balance",
        "unknown",
    ]


def test_lengths_may_differ_by_two_percent():
    runs = [run(frames=frames) for frames in (99_200, 100_000, 200_000)]
    headings = ["encircle, 200000 frames", "encircle, 99200 to 100000 frames"]
    assert list(group_runs(runs)) == headings


def test_keys_of_the_environment_that_are_asked_for_are_labels():
    runs = [run(), run(env__n_agents="20")]
    panels = group_runs(runs, by=["env.n_agents"])
    assert sizes(panels) == {"encircle": {"n=10": 1, "n=20": 1}}


def test_the_newest_run_of_a_seed_counts():
    groups = group_runs([run(value=1.0), run(value=2.0)])["encircle"]
    assert [curve.tolist() for curve in groups["ILVF-P"]] == [[2.0]]


def test_an_unknown_key_is_named():
    with pytest.raises(UsageError, match=r"compare\.by=tau: .* no such config key"):
        group_runs([run()], by=["tau"])


def test_a_baseline_is_found_by_the_name_of_its_command():
    panels = group_runs([run(), run("MAPPO")])
    assert find_label("ilvf_p", panels) == "ILVF-P"
    with pytest.raises(UsageError, match="there are ILVF-P; MAPPO"):
        find_label("ippo", panels)
