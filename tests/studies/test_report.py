"""The report: scores, tables, labels and pictures of a made-up raw table."""

import re

import numpy as np
import pandas as pd
import pytest

from ilvf.analysis.curves import gain_ratio
from ilvf.reports.labels import GAP, SAMPLE, spread
from ilvf.studies.description import StudyTask
from ilvf.studies.page import Results
from ilvf.studies.pictures import SHARES, curves_picture, efficiency_picture
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import with_run
from ilvf.studies.records import COLUMNS
from ilvf.studies.references import Reference
from ilvf.studies.report import write_report
from ilvf.studies.scores import (
    curves_of,
    run_values,
    score_arrays,
    score_curves,
    scores_of,
    whole_curve,
)
from ilvf.studies.tables import task_table
from study_helpers import TINY_KEYS, small_study, table_of

STUDY = small_study(scales={"tiny": {"seeds": "0-3", "keys": TINY_KEYS}})
VALUES = {"MAPPO": [0.0, 1.0, 2.0, 3.0], "ILVF-P (threshold)": [1.0, 2.5, 3.0, 4.5]}
RUNS = planned_runs(STUDY)
TABLE = table_of(RUNS, VALUES)
NO_RECORDS = pd.DataFrame(columns=COLUMNS)
FILES = {
    "report.md",
    "report.html",
    "tables.tex",
    "marl_eval.json",
    "curves.png",
    "curves.svg",
    "efficiency.png",
    "efficiency.svg",
    "profiles.png",
    "profiles.svg",
}


def page_of(table, folder):
    """The page of a report without records, in markdown."""
    write_report(Results(STUDY, RUNS, table, NO_RECORDS), folder)
    return (folder / "report.md").read_text()


def task(**options):
    return StudyTask(title="T", env="encircle", **options)


def test_curves_are_named_by_their_seed():
    curves = curves_of(TABLE, STUDY, STUDY.tasks[0])
    assert list(curves) == ["MAPPO", "ILVF-P (threshold)"]
    assert [curve.name for curve in curves["MAPPO"]] == [0, 1, 2, 3]
    values = run_values(curves, whole_curve)
    assert values["ILVF-P (threshold)"].tolist() == VALUES["ILVF-P (threshold)"]


def test_a_whole_curve_counts_frames_and_not_values():
    """No episode ends in iterations 3 and 4 of 5; interpolated: 1, 1.5, 2, 2.5, 3."""
    assert whole_curve(pd.Series([1.0, 1.5, 3.0], index=[100, 200, 500])) == 2.0
    assert whole_curve(pd.Series([1.0, float("nan"), 3.0], index=[100, 200, 300])) == 2.0
    assert whole_curve(pd.Series([4.0], index=[100])) == 4.0
    assert np.isnan(whole_curve(pd.Series([float("nan")], index=[100])))


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
    files = write_report(Results(STUDY, RUNS, TABLE, NO_RECORDS), tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert {file.name for file in files} == FILES
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
    page = page_of(TABLE[TABLE["algorithm"] == "MAPPO"], tmp_path)
    assert "4 runs have not finished" in page
    assert "| ILVF-P (threshold) | 4 |" not in page


def test_tasks_that_have_not_begun_are_named_and_not_shown(tmp_path):
    names = ("begun", "waiting")
    tasks = [{"title": name, "env": "encircle", "frames": 80} for name in names]
    study = small_study(tasks=tasks)
    runs = planned_runs(study)
    table = table_of([run for run in runs if run.task == "begun"], VALUES)
    write_report(Results(study, runs, table, NO_RECORDS), tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "No run has finished of: waiting." in page
    assert "### begun" in page
    assert "### waiting" not in page


def test_a_report_without_runs_is_written(tmp_path):
    files = write_report(Results(STUDY, RUNS, TABLE[:0], NO_RECORDS), tmp_path)
    assert {file.name for file in files} == {
        name for name in FILES if "efficiency" not in name and "profiles" not in name
    }
    assert "No run has finished" in (tmp_path / "report.md").read_text()


def test_a_diverged_run_is_not_counted(tmp_path):
    table = TABLE.copy()
    diverged = (table["algorithm"] == "MAPPO") & (table["seed"] == 3)
    table.loc[diverged, "value"] = float("nan")
    assert "| MAPPO | 3 | 1.000 [" in page_of(table, tmp_path)


def test_a_single_seed_has_values_without_intervals(tmp_path):
    page = page_of(TABLE[TABLE["seed"] == 0], tmp_path)
    assert "| MAPPO | 1 | 0.000 | 10.000 | 1.00 |" in page
    assert "inf" not in page


@pytest.mark.parametrize("gains", [[0.0, 0.0], [0.0], [0.5, -0.4, 0.3, -0.2, 0.1]])
def test_a_baseline_that_may_gain_nothing_gives_no_ratio(gains):
    base = pd.Series(gains)
    assert gain_ratio(base + 1.0, base) == ""
    assert gain_ratio(base + 1.0, base + 2.0)


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_baseline_that_becomes_worse_gives_no_ratio(better):
    """MAPPO becomes worse than the start, the other better."""
    task = {"title": "one", "env": "encircle", "frames": 80, "better": better}
    study = small_study(tasks=[task])
    sign = 1 if better == "higher" else -1
    ends = {"MAPPO": -sign, "ILVF-P (threshold)": sign}
    table = pd.DataFrame()
    for run in planned_runs(study):
        table = with_run(table, run, pd.Series({40: 0.0, 80: ends[run.algorithm]}))
    assert "| ILVF-P (threshold) | 2 |" in task_table(table, study, study.tasks[0])
    assert task_table(table, study, study.tasks[0]).count("|  |") == 2


def test_a_run_that_begins_without_a_value_hides_no_gains(tmp_path):
    table = TABLE.copy()
    first = (table["algorithm"] == "MAPPO") & (table["seed"] == 3) & (table["frames"] == 40)
    table.loc[first, "value"] = float("nan")
    assert "| MAPPO | 4 | " in page_of(table, tmp_path)
    assert "| 1.00 [1.00, 1.00] |" in page_of(table, tmp_path)


def test_the_best_of_several_is_that_of_the_seeds_that_all_have():
    """B's only run is of a seed on which A is better."""
    values = pd.DataFrame({"A": [20.0, 10.0, 11.0], "B": [19.0, np.nan, np.nan]})
    assert Reference("best", ["A", "B"]).on(values, task()) == "A"
    values["B"] = [np.nan, 12.0, 13.0]
    assert Reference("best", ["A", "B"]).on(values, task()) == "B"
    values["A"] = [20.0, np.nan, np.nan]
    assert Reference("best", ["A", "B"]).on(values, task()) == "A"
    assert Reference("best", ["C"]).on(values, task()) is None


def test_titles_are_no_formulas(tmp_path):
    titled = {"title": r"ILVF-P ($\bm{W}$)", "recipe": "ilvf_p"}
    tasks = [{"title": r"Encircle $\no", "env": "encircle", "frames": 80}]
    study = small_study(algorithms=[{"recipe": "mappo"}, titled], tasks=tasks)
    runs = planned_runs(study)
    table = table_of(runs, {"MAPPO": [0.0, 1.0], titled["title"]: [1.0, 2.0]})
    assert write_report(Results(study, runs, table, NO_RECORDS), tmp_path)


def labels_of(axes):
    """Name → style of the line before it, for the labels beside the axes."""
    samples = [line for line in axes.lines if list(line.get_xdata()) == list(SAMPLE)]
    return {
        text.get_text(): (line.get_color(), line.get_linestyle())
        for text, line in zip(axes.texts, samples, strict=True)
    }


def curves_in(axes):
    """The curves, without the lines beside the axes."""
    return [line for line in axes.lines if line.get_transform() == axes.transData]


def test_every_curve_has_a_label_in_its_style():
    axes = curves_picture(TABLE, STUDY).axes[0]
    curves = curves_in(axes)
    assert labels_of(axes) == {
        title: (line.get_color(), line.get_linestyle())
        for title, line in zip(["MAPPO", "ILVF-P (threshold)"], curves, strict=True)
    }
    assert curves[0].get_ydata().tolist() == [-8.5, 11.5]


def test_a_diverged_run_does_not_hide_the_curve_of_its_algorithm():
    table = TABLE.copy()
    diverged = (table["algorithm"] == "MAPPO") & (table["seed"] == 3)
    table.loc[diverged, "value"] = float("nan")
    assert curves_in(curves_picture(table, STUDY).axes[0])[0].get_ydata().tolist() == [-9, 11]


def test_the_efficiency_is_the_score_at_equal_parts_of_the_frames():
    curves = score_curves(TABLE, STUDY, np.array([0.25, 0.5, 0.75, 1.0]))
    assert list(curves) == list(VALUES)
    first = curves["MAPPO"]
    assert first.shape == (4, 1, 4)
    assert first[0, 0] == pytest.approx(np.array([-10, -10, 0, 10]) / 4.5)
    assert first[3, 0] == pytest.approx(np.array([-7, -7, 3, 13]) / 4.5)


@pytest.mark.parametrize(("seeds", "shape"), [(1, (4, 1)), (2, (2, 2))])
def test_a_task_that_has_just_begun_is_not_in_the_scores(seeds, shape, tmp_path):
    """One task has four seeds, and the other less than half of them, or half."""
    tasks = [{"title": title, "env": "encircle", "frames": 80} for title in ("one", "two")]
    study = small_study(tasks=tasks, scales={"tiny": {"seeds": "0-3", "keys": TINY_KEYS}})
    runs = planned_runs(study)
    table = table_of([run for run in runs if run.task == "one" or run.seed < seeds], VALUES)
    arrays = score_arrays(table, study, whole_curve)
    assert {title: array.shape for title, array in arrays.items()} == dict.fromkeys(VALUES, shape)
    write_report(Results(study, runs, table, NO_RECORDS), tmp_path)
    said = "the seeds that all of them have: one." in (tmp_path / "report.md").read_text()
    assert said == (seeds == 1)


def test_the_efficiency_is_drawn_for_algorithms_of_all_tasks():
    axes = efficiency_picture(score_curves(TABLE, STUDY, SHARES), STUDY).axes[0]
    assert list(labels_of(axes)) == list(VALUES)
    assert [len(line.get_xdata()) for line in curves_in(axes)] == [len(SHARES)] * 2


@pytest.mark.parametrize(("better", "best"), [("higher", "ILVF-P (threshold)"), ("lower", "MAPPO")])
def test_a_reference_is_the_best_of_its_algorithms(better, best, tmp_path):
    task = {"title": "one", "env": "encircle", "frames": 80, "better": better}
    scales = {"tiny": {"seeds": "0-3", "keys": TINY_KEYS}}
    study = small_study(tasks=[task], references={"the best": list(VALUES)}, scales=scales)
    runs = planned_runs(study)
    write_report(Results(study, runs, table_of(runs, VALUES), NO_RECORDS), tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "| gain / MAPPO | gain / the best |" in page
    section = page.split("## Differences to the best")[1].split("##")[0]
    (other,) = VALUES.keys() - {best}
    difference = np.mean(np.subtract(VALUES[other], VALUES[best]))
    assert f"| one | {other} | 4 | {difference:.3f} [" in section
    assert f"| one | {best} |" not in section


def test_panels_show_their_algorithms_only():
    study = small_study(panels={"one": ["MAPPO"], "both": list(VALUES)})
    figure = curves_picture(TABLE, study)
    assert [axes.get_title() for axes in figure.axes] == ["Encircle: one", "Encircle: both"]
    assert [len(curves_in(axes)) for axes in figure.axes] == [1, 2]


def test_a_panel_that_shows_nothing_more_is_left_out():
    panels = {"both": list(VALUES), "again": ["MAPPO"]}
    figure = curves_picture(TABLE, small_study(panels=panels))
    assert [axes.get_title() for axes in figure.axes] == ["Encircle: both"]


def test_labels_are_moved_apart():
    assert spread([0.1, 0.1, 0.5], 0.1) == pytest.approx([0.05, 0.15, 0.5])
    assert spread([0.95, 0.98, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    assert spread([0.0, 0.01], 0.1) == pytest.approx([0.0, 0.1])
    assert spread([], 0.1) == []


def test_blocks_of_labels_that_meet_are_joined():
    assert spread([0.4, 0.4, 0.55, 0.55], 0.1) == pytest.approx([0.325, 0.425, 0.525, 0.625])


@pytest.mark.parametrize("count", [2, 10, 16])
def test_labels_never_overlap_and_keep_their_order(count):
    heights = np.sort(np.random.default_rng(count).uniform(size=count) ** 3).tolist()
    places = np.array(spread(heights, GAP))
    assert (np.diff(places) > GAP - 1e-9).all()
    assert 0 <= places[0] < places[-1] <= 1
