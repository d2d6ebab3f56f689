"""Records of runs, and runs that were trained with other settings than the study has now."""

import dataclasses
import math

import pandas as pd
import pytest

from ilvf.experiment.metrics_file import METRICS, append_row
from ilvf.studies.csv_tables import write_table
from ilvf.studies.description import StudyScale
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import with_run
from ilvf.studies.records import (
    COLUMNS,
    command_of,
    read_records,
    record_of,
    recorded_keys,
    with_record,
)
from ilvf.studies.runner import Runner
from ilvf.studies.settings import require_recorded_settings
from study_helpers import TINY_KEYS, content, small_study, table_of

RUNS = planned_runs(small_study())
KEYS = {run.key for run in RUNS}
TAGS = {"version.torch": "2.13.0+cpu", "hardware.cpu": 'a "fast", cheap one', "run_id": "0123"}
TAU = {"algorithm.tau": 0.5}


def trained(folder, run):
    """A folder as a run of 12.34 seconds leaves it."""
    path = folder / run.folder
    append_row(path / METRICS, run.frames, {"frames": run.frames, "time/wall_s": 12.34})
    return path


def records_of(runs):
    """A table with records of the runs, without anything that MLflow knows."""
    rows = []
    for run in runs:
        known = {"metric": run.metric, "command": command_of(run), "frames": run.frames}
        row = dict(zip(("task", "algorithm", "seed"), run.key, strict=True))
        rows.append(dict.fromkeys(COLUMNS, "") | row | known)
    return pd.DataFrame(rows, columns=COLUMNS)


def check(records, study, path, finished=KEYS):
    require_recorded_settings(records, planned_runs(study), finished, path)


def changed(keys=None, **changes):
    """The small study with other keys of its second algorithm."""
    algorithms = content()["algorithms"]
    algorithms[1] = {"title": "ILVF-P (threshold)", "recipe": "ilvf_p", "keys": keys or TAU}
    algorithms[1] |= changes
    return small_study(algorithms=algorithms)


# ---------------------------------------------------------------------- the file
def test_records_are_read_as_they_were_written(tmp_path):
    records = read_records(tmp_path / "runs.csv")
    for run in (RUNS[1], RUNS[0]):
        record = record_of(run, trained(tmp_path, run), TAGS)
        records = with_record(records, record)
    write_table(tmp_path / "runs.csv", records)
    found = read_records(tmp_path / "runs.csv")
    assert recorded_keys(found) == {RUNS[0].key, RUNS[1].key}
    first = found.to_dict("records")[0]
    assert first["seconds"] == 12.3
    assert first["cpu"] == TAGS["hardware.cpu"]
    assert first["run_id"] == "0123"
    assert first["gpu"] == ""
    assert first["command"].startswith("ilvf train ilvf_p env=encircle")


def test_a_new_record_replaces_that_of_the_same_run(tmp_path):
    folder = trained(tmp_path, RUNS[0])
    records = with_record(read_records(tmp_path / "none"), record_of(RUNS[0], folder, {}))
    records = with_record(records, record_of(RUNS[0], folder, TAGS))
    assert records["torch"].tolist() == ["2.13.0+cpu"]


def test_a_run_of_an_older_version_without_a_clock_has_no_time(tmp_path):
    append_row(tmp_path / METRICS, 80, {"frames": 80})
    assert math.isnan(record_of(RUNS[0], tmp_path, {})["seconds"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("cannot be read",)),
        ("a,b\n1,2\n", ("columns a, b",)),
        (f"{','.join(COLUMNS)}\nT,A,zero{',' * (len(COLUMNS) - 3)}\n", ("column seed",)),
    ],
)
def test_damaged_records_are_refused(tmp_path, text, words, refused):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with refused(str(path), *words):
        read_records(path)


# ---------------------------------------------------------------------- settings
def test_equal_settings_pass_however_they_are_written(tmp_path):
    check(records_of(RUNS), small_study(), tmp_path)
    check(records_of(RUNS), changed({**TAU, "algorithm.discretise": "threshold"}), tmp_path)


def test_the_machine_and_the_order_of_keys_are_no_settings(tmp_path):
    keys = dict(reversed(TINY_KEYS.items()))
    scales = {"tiny": {"seeds": "0-1", "keys": keys, "accelerator": "auto"}}
    check(records_of(RUNS), small_study(scales=scales), tmp_path)


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (changed({"algorithm.tau": 2.0}), ("algorithm.tau=0.5 instead of 2.0",)),
        (changed({"algorithm.sparsity": 0.1}), ("algorithm.tau=0.5 instead of 1.0",)),
        (changed({"algorithm.lr": 0.1}, recipe="ilvf_s"), ("recipe='ilvf_p' instead of 'ilvf_s'",)),
        (
            small_study(
                tasks=[{"title": "Encircle", "env": "capture_prey", "frames": 80}],
                scales={"tiny": {"seeds": "0-1"}},
            ),
            ("env.name='encircle' instead of 'capture_prey'",),
        ),
    ],
)
def test_a_run_with_other_settings_is_named(study, words, tmp_path, refused):
    where = f"{tmp_path}: 'ILVF-P (threshold)' on 'Encircle', seed 0"
    with refused(where, "delete its rows", *words):
        check(records_of(RUNS[1:]), study, tmp_path)


def test_all_runs_with_other_settings_are_counted(tmp_path, refused):
    scales = {"tiny": {"seeds": "0-1", "keys": {**TINY_KEYS, "algorithm.lr": 0.1}}}
    with refused("'MAPPO' on 'Encircle', seed 0", "algorithm.lr", "so were 3 other runs"):
        check(records_of(RUNS), small_study(scales=scales), tmp_path)


def test_another_metric_is_named(tmp_path, refused):
    tasks = [{"title": "Encircle", "env": "encircle", "frames": 80, "metric": "return/team"}]
    with refused("'MAPPO' on 'Encircle', seed 0", "'reward/agent_step' instead of 'return/team'"):
        check(records_of(RUNS), small_study(tasks=tasks), tmp_path)


@pytest.mark.parametrize("command", ["", "ilvf train", "ilvf train x a=1", "ilvf train mappo 'a"])
def test_a_damaged_command_is_refused(command, tmp_path, refused):
    records = records_of(RUNS[:1]).assign(command=command)
    with refused("'MAPPO' on 'Encircle', seed 0", "cannot be read"):
        check(records, small_study(), tmp_path)


def test_runs_that_have_not_finished_and_runs_without_a_record_are_not_compared(tmp_path):
    check(records_of(RUNS), changed({"algorithm.tau": 2.0}), tmp_path, finished={RUNS[0].key})
    check(records_of(RUNS[:1]), changed({"algorithm.tau": 2.0}), tmp_path)


def test_another_network_is_another_run_unless_the_task_has_only_one(tmp_path, refused):
    """Files are compared by name, since folders can move."""

    def study(env, file):
        keys = {k: v for k, v in TINY_KEYS.items() if k[:4] != "env."}
        task = {"title": "Town", "env": env, "frames": 80, "keys": {"env.net_file": file}}
        return small_study(tasks=[task], scales={"tiny": {"seeds": "0", "keys": keys}})

    def compared(env, old, new):
        runs = planned_runs(study(env, old))
        finished = {run.key for run in runs}
        check(records_of(runs), study(env, new), tmp_path / "runs.csv", finished)

    (tmp_path / "other").mkdir()
    files = [tmp_path / name for name in ("a.net.xml", "b.net.xml", "other/a.net.xml")]
    for file in files:
        file.write_text("<net/>")
    first, second, moved = map(str, files)
    compared("sumo", first, moved)
    compared("monaco", first, second)
    with refused("env.net_file='a.net.xml' instead of 'b.net.xml'"):
        compared("sumo", first, second)


def test_runs_that_the_study_has_no_longer_are_not_in_its_report(tmp_path):
    """Its seeds were others, with another τ and shorter runs."""
    old = changed(TAU)
    new = dataclasses.replace(
        changed({"algorithm.tau": 5.0}), scale=StudyScale(seeds="3-4", keys=TINY_KEYS, frames=160)
    )
    table = table_of(planned_runs(old), {"MAPPO": [0.0] * 2, "ILVF-P (threshold)": [100.0] * 2})
    for run in planned_runs(new):
        table = with_run(table, run, pd.Series({80: 0.0, 160: 2.0}))
    write_table(tmp_path / "raw.csv", table)
    write_table(tmp_path / "runs.csv", records_of([*planned_runs(old), *planned_runs(new)]))
    runner = Runner(new, tmp_path)
    assert not runner.missing()
    runner.report()
    page = (tmp_path / "report.md").read_text()
    assert "| ILVF-P (threshold) | 2 | 1.000 [1.000, 1.000] |" in page
    assert len(runner.table) == len(table)
