"""Runs of another study: when they count as this study's, and folders that are no study."""

import pandas as pd
import pytest

from ilvf.experiment.metrics_file import METRICS, append_row
from ilvf.studies.csv_tables import write_table
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import read_raw, with_run
from ilvf.studies.records import read_records, record_of, with_record
from ilvf.studies.reuse import folders_of
from ilvf.studies.runner import Runner
from study_helpers import TINY_KEYS, small_study

METRIC = "reward/agent_step"
RENAMED = {
    "algorithms": [
        {"title": "Everything", "recipe": "mappo"},
        {"title": "Half", "recipe": "ilvf_p", "keys": {"algorithm.tau": 0.5}},
    ],
    "tasks": [{"title": "A circle", "env": "encircle", "frames": 80}],
    "baseline": "Half",
}


@pytest.fixture
def other(tmp_path):
    """The folder of the small study, whose runs have finished."""
    folder = tmp_path / "other"
    table, records = read_raw(folder), read_records(folder)
    for number, run in enumerate(planned_runs(small_study())):
        (folder / run.folder).mkdir(parents=True)
        append_row(folder / run.folder / METRICS, run.frames, {METRIC: number, "time/wall_s": 7.0})
        table = with_run(table, run, pd.Series({40: -1.0, run.frames: number}))
        tags = {"git.sha": "abc", "experiment_id": "1", "run_id": "f00"}
        records = with_record(records, record_of(run, folder / run.folder, tags))
    write_table(folder / "raw.csv", table)
    write_table(folder / "runs.csv", records)
    return folder


def missing(folder, *others, **changes):
    """The runs of a small study that are still missing, as (algorithm, seed)."""
    runner = Runner(small_study(**changes), folder, reuse=others)
    return [(run.algorithm, run.seed) for run in runner.missing()]


def test_runs_with_the_same_settings_count_under_their_new_titles(tmp_path, other):
    runner = Runner(small_study(**RENAMED), tmp_path / "new", reuse=[other])
    assert not runner.missing()
    assert runner.reused == 4
    runner.report()
    assert len(read_raw(tmp_path / "new" / "raw.csv")) == len(runner.table) == 8
    assert "MLflow" not in (tmp_path / "new" / "report.md").read_text()  # this store lacks them
    half = runner.table.query("algorithm == 'Half' and seed == 1")
    assert half["task"].tolist() == ["A circle"] * 2
    assert half["value"].tolist() == [-1.0, 3.0]
    row = runner.records.query("algorithm == 'Half' and seed == 1").iloc[0]
    assert (row.task, row.commit, row.seconds) == ("A circle", "abc", 7.0)
    assert "algorithm.tau=0.5" in row.command
    assert row.run_id == row.experiment_id == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"scales": {"tiny": {"seeds": "0-1", "keys": {**TINY_KEYS, "env.n_agents": 5}}}},
        {"scales": {"tiny": {"seeds": "2-3", "keys": TINY_KEYS}}},
        {"tasks": [{"title": "Encircle", "env": "encircle", "frames": 120}]},
        {"tasks": [{"title": "T", "env": "encircle", "frames": 80, "metric": "return/team"}]},
    ],
    ids=["settings", "seeds", "frames", "metric"],
)
def test_other_runs_do_not_count(tmp_path, other, changes):
    assert len(missing(tmp_path / "new", other, **changes)) == 4


def test_runs_whose_settings_are_in_a_file_do_not_count(tmp_path, other):
    """It may have changed under its name."""
    file = tmp_path / "mine.yaml"
    file.write_text("name: encircle")
    tasks = [{"title": "Encircle", "env": str(file), "frames": 80}]
    records = read_records(other / "runs.csv")
    records["command"] = records["command"].str.replace("env=encircle", f"env={file}")
    write_table(other / "runs.csv", records)
    assert len(missing(tmp_path / "new", other, tasks=tasks)) == 4


def test_one_algorithm_can_be_the_same(tmp_path, other):
    algorithms = [
        {"recipe": "mappo"},
        {"title": "ILVF-P (threshold)", "recipe": "ilvf_p", "keys": {"algorithm.tau": 0.6}},
    ]
    left = missing(tmp_path / "new", other, algorithms=algorithms)
    assert left == [("ILVF-P (threshold)", 0), ("ILVF-P (threshold)", 1)]


def test_own_runs_come_first(other):
    runner = Runner(small_study(), other, reuse=[other])
    assert not runner.missing()
    assert runner.reused == 0


def test_a_run_whose_command_cannot_be_read_does_not_count(tmp_path, other):
    records = read_records(other / "runs.csv")
    records.loc[records["seed"] == 1, "command"] = "ilvf train mappo env=gone"
    write_table(other / "runs.csv", records)
    assert {seed for _, seed in missing(tmp_path / "new", other)} == {1}


@pytest.mark.parametrize("name", ["raw.csv", "runs.csv"])
def test_a_folder_that_is_no_study_is_refused(tmp_path, other, name, refused):
    (other / name).unlink()
    with refused(f"reuse={other}", name, "folder of a study"):
        missing(tmp_path / "new", other)
    (other / name).write_text("a,b\n")
    with refused(name, "columns a, b"):
        missing(tmp_path / "new", other)


@pytest.mark.parametrize(
    ("given", "names"),
    [(None, []), ("a,b", ["a", "b"]), (["a", " b"], ["a", "b"])],
)
def test_folders_are_named_by_words_or_a_list(given, names):
    assert [str(folder) for folder in folders_of(given)] == names


@pytest.mark.parametrize("given", [3, "a,,b", ["a", 1], {"a": 1}])
def test_what_names_no_folders_is_refused(given, refused):
    with refused("reuse=", "write reuse=A,B"):
        folders_of(given)
