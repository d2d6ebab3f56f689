"""The raw table: what it keeps, what counts as finished, and damaged files."""

import json

import pandas as pd
import pytest

from ilvf.studies.csv_tables import write_table
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import (
    COLUMNS,
    curve_of,
    finished_keys,
    read_raw,
    require_metric,
    with_run,
)
from study_helpers import small_study

RUNS = planned_runs(small_study())


def write_metrics(folder, *rows):
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "raw.csv"
    table = with_run(read_raw(path), RUNS[1], pd.Series({40: -1.5, 80: float("nan")}))
    table = with_run(table, RUNS[0], pd.Series({40: 1 / 3, 80: 2.0}))
    write_table(path, table)
    found = read_raw(path)
    assert found.columns.tolist() == COLUMNS
    pd.testing.assert_frame_equal(found, table, rtol=1e-7)
    assert path.read_text().splitlines()[1] == "Encircle,ILVF-P (threshold),0,40,-1.5"
    assert [file.name for file in tmp_path.iterdir()] == ["raw.csv"]


def test_a_run_in_the_table_is_finished(tmp_path):
    table = with_run(read_raw(tmp_path / "none"), RUNS[2], pd.Series({40: 1.0, 80: 2.0}))
    assert finished_keys(table, RUNS, tmp_path) == {("Encircle", "MAPPO", 1)}


def test_a_run_with_other_frames_is_refused(tmp_path, refused):
    table = with_run(read_raw(tmp_path / "none"), RUNS[2], pd.Series({40: 1.0, 120: 2.0}))
    with refused("MAPPO", "seed 1", "120", "instead of 80"):
        finished_keys(table, RUNS, tmp_path / "raw.csv")


def test_the_curve_of_a_run_is_taken_at_its_end(tmp_path):
    rows = [{"frames": 40, "reward/agent_step": 1.0}, {"frames": 80, "reward/agent_step": 2.0}]
    assert curve_of(tmp_path / "nowhere", RUNS[0]) is None
    write_metrics(tmp_path, *rows[:1])
    assert curve_of(tmp_path, RUNS[0]) is None
    write_metrics(tmp_path, *rows)
    assert curve_of(tmp_path, RUNS[0]).to_dict() == {40: 1.0, 80: 2.0}


def test_a_run_in_whose_last_iteration_no_episode_ends_is_finished(tmp_path):
    write_metrics(tmp_path, {"frames": 40, "reward/agent_step": 1.0}, {"frames": 80})
    curve = curve_of(tmp_path, RUNS[0])
    assert curve.index.tolist() == [40, 80]
    assert curve.isna().tolist() == [False, True]
    assert finished_keys(with_run(read_raw(tmp_path / "none"), RUNS[0], curve), RUNS, tmp_path)


def test_a_run_that_is_longer_than_planned_is_refused(tmp_path, refused):
    write_metrics(tmp_path, {"frames": 120, "reward/agent_step": 1.0})
    with refused(str(tmp_path), "has 120 frames instead of 80", "delete this folder"):
        curve_of(tmp_path, RUNS[0])


def test_a_metric_that_no_run_of_a_task_logs_is_refused(tmp_path, refused):
    """One that a single run lacks, such as one in which no episode ends, is missing there alone."""
    write_metrics(tmp_path, {"frames": 80, "other": 1.0})
    curve = curve_of(tmp_path, RUNS[0])
    assert curve.index.tolist() == [80]
    assert curve.isna().all()
    table = read_raw(tmp_path / "none")
    with refused("no metric 'reward/agent_step'", "'Encircle'"):
        require_metric(tmp_path, RUNS[0], table)
    require_metric(tmp_path, RUNS[0], with_run(table, RUNS[1], pd.Series({80: 1.0})))
    write_metrics(tmp_path, {"frames": 80, "reward/agent_step": float("nan")})
    require_metric(tmp_path, RUNS[0], table)


def test_a_table_with_a_run_twice_is_refused(tmp_path, refused):
    path = tmp_path / "raw.csv"
    path.write_text(f"{','.join(COLUMNS)}\nT,A,0,40,1.0\nT,B,0,40,1.0\nT,A,0,40,2.0\n")
    with refused(str(path), "'A' on 'T', seed 0, at 40 frames twice"):
        read_raw(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("cannot be read",)),
        ("a,b\n1,2\n", ("columns a, b",)),
        (f"{','.join(COLUMNS)}\nT,A,0,many,1\n", ("column frames",)),
        (f'{",".join(COLUMNS)}\nT,A,0,1,1,2,3\n"', ("restore it",)),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, text, words, refused):
    path = tmp_path / "raw.csv"
    path.write_text(text)
    with refused(str(path), *words):
        read_raw(path)
