"""The report: scores, tables, labels and pictures of a made-up raw table."""

import re

import numpy as np
import pandas as pd
import pytest

from ilvf.studies.description import StudyTask
from ilvf.studies.pictures import curves_picture, spread
from ilvf.studies.plan import planned_runs
from ilvf.studies.report import write_report
from ilvf.studies.scores import curves_of, run_values, score_arrays, scores_of, whole_curve
from ilvf.studies.tables import ratio
from study_helpers import TINY_KEYS, small_study, table_of

STUDY = small_study(scales={"tiny": {"seeds": "0-3", "keys": TINY_KEYS}})
VALUES = {"MAPPO": [0.0, 1.0, 2.0, 3.0], "ILVF-P (threshold)": [1.0, 2.5, 3.0, 4.5]}
TABLE = table_of(planned_runs(STUDY), VALUES)


def task(**options):
    return StudyTask(title="T", env="encircle", **options)


def test_curves_are_named_by_their_seed():
    curves = curves_of(TABLE, STUDY, STUDY.tasks[0])
    assert list(curves) == ["MAPPO", "ILVF-P (threshold)"]
    assert [curve.name for curve in curves["MAPPO"]] == [0, 1, 2, 3]
    values = run_values(curves, whole_curve)
    assert values["ILVF-P (threshold)"].tolist() == VALUES["ILVF-P (threshold)"]


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        ({}, [0.0, 0.5, 1.0]),
        ({"better": "lower"}, [1.0, 0.5, 0.0]),
        ({"worst": 0.0, "best": 8.0}, [0.25, 0.5, 0.75]),
        ({"better": "lower", "best": 0.0}, [0.667, 0.333, 0.0]),
        ({"worst": 5.0, "best": 5.0}, [0.0, 0.0, 0.0]),
    ],
)
def test_scores_are_0_for_the_worst_and_1_for_the_best(options, scores):
    values = pd.DataFrame({"A": [2.0, 4.0, 6.0]})
    found = scores_of(values, task(**options))["A"].tolist()
    assert found == pytest.approx(scores, abs=1e-3)


def test_score_arrays_have_the_algorithms_that_run_on_all_tasks():
    tasks = [
        {"title": "one", "env": "encircle", "frames": 80},
        {"title": "two", "env": "encircle", "frames": 80, "algorithms": ["MAPPO"]},
    ]
    study = small_study(tasks=tasks)
    table = table_of(planned_runs(study), VALUES)
    arrays = score_arrays(table, study, whole_curve)
    assert list(arrays) == ["MAPPO"]
    assert arrays["MAPPO"].shape == (2, 2)


def test_the_report_has_the_statistics_of_the_table(tmp_path):
    files = write_report(STUDY, TABLE, tmp_path, missing=0)
    page = (tmp_path / "report.md").read_text()
    assert {file.name for file in files} == {"report.md", "curves.png", "profiles.png"}
    assert all(file.stat().st_size > 0 for file in files)
    assert "# A small study" in page
    assert "have not finished" not in page
    row = re.search(r"\| ILVF-P \(threshold\) \| 4 \| (\S+) \[(\S+), (\S+)\]", page)
    iqm, low, high = map(float, row.groups())
    assert iqm == pytest.approx((2.5 + 3.0) / 2)
    assert 1.0 <= low < iqm < high <= 4.5
    start = np.mean(VALUES["MAPPO"] + VALUES["ILVF-P (threshold)"]) - 10
    ratio = (np.mean(VALUES["ILVF-P (threshold)"]) - start) / (np.mean(VALUES["MAPPO"]) - start)
    assert f"| {ratio:.2f} [" in page
    difference = np.mean(np.subtract(VALUES["ILVF-P (threshold)"], VALUES["MAPPO"]))
    assert f"| Encircle | ILVF-P (threshold) | 4 | {difference:.3f} [" in page


def test_the_report_says_which_runs_are_missing(tmp_path):
    table = TABLE[TABLE["algorithm"] == "MAPPO"]
    write_report(STUDY, table, tmp_path, missing=4)
    page = (tmp_path / "report.md").read_text()
    assert "4 runs have not finished" in page
    assert "ILVF-P (threshold) |" not in page


def test_a_report_without_runs_is_written(tmp_path):
    files = write_report(STUDY, TABLE[:0], tmp_path, missing=8)
    assert [file.name for file in files] == ["report.md", "curves.png"]
    assert "No run has finished" in (tmp_path / "report.md").read_text()


def test_a_diverged_run_is_not_counted(tmp_path):
    table = TABLE.copy()
    diverged = (table["algorithm"] == "MAPPO") & (table["seed"] == 3)
    table.loc[diverged, "value"] = float("nan")
    write_report(STUDY, table, tmp_path, missing=0)
    assert "| MAPPO | 3 | 1.000 [" in (tmp_path / "report.md").read_text()


def test_a_single_seed_has_values_without_intervals(tmp_path):
    write_report(STUDY, TABLE[TABLE["seed"] == 0], tmp_path, missing=6)
    page = (tmp_path / "report.md").read_text()
    assert "| MAPPO | 1 | 0.000 | 10.000 | 1.00 |" in page
    assert "inf" not in page


def test_a_baseline_that_gains_nothing_gives_no_ratio():
    flat = pd.Series({0: 0.0, 1: 0.0})
    assert ratio(flat + 1.0, flat) == ""


def test_every_curve_has_a_label_in_its_colour():
    axes = curves_picture(TABLE, STUDY).axes[0]
    labels = {text.get_text(): text.get_color() for text in axes.texts}
    assert list(labels) == ["MAPPO", "ILVF-P (threshold)"]
    colours = [line.get_color() for line in axes.lines]
    assert list(labels.values()) == colours
    assert axes.lines[0].get_ydata().tolist() == [-8.5, 11.5]


def test_panels_show_their_algorithms_only():
    study = small_study(panels={"one": ["MAPPO"], "both": list(VALUES)})
    figure = curves_picture(TABLE, study)
    assert [axes.get_title() for axes in figure.axes] == ["Encircle: one", "Encircle: both"]
    assert [len(axes.lines) for axes in figure.axes] == [1, 2]


def test_labels_are_moved_apart():
    assert spread([0.1, 0.1, 0.5], 0.1) == pytest.approx([0.1, 0.2, 0.5])
    assert spread([0.95, 0.98, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    assert spread([], 0.1) == []
