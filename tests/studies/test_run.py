"""Whole studies: they run, continue after a kill and on another machine, and are reported."""

import os
import platform
import shutil

import pandas as pd
import pytest
import torch
from filelock import FileLock
from mlflow.tracking import MlflowClient

from ilvf.commands.train import train_algorithm
from ilvf.experiment.lock import RunLock
from ilvf.experiment.metrics_file import METRICS, append_row
from ilvf.experiment.store import tracking_uri
from ilvf.studies.csv_tables import write_table
from ilvf.studies.description import read_study
from ilvf.studies.parent import ParentRun
from ilvf.studies.plan import planned_runs
from ilvf.studies.processes import experiment_of, job_of
from ilvf.studies.raw_table import read_raw, with_run
from ilvf.studies.records import read_records
from ilvf.studies.runner import LOCK, Runner
from ilvf.studies.store import has_finished
from study_helpers import yaml_of

MAPPO_CURVE = pd.Series({40: -3.0, 80: -2.0})


@pytest.fixture
def study(out):
    """The small study with one seed, in a yaml file."""
    path = out / "small.yaml"
    path.write_text(yaml_of(seeds="0"))
    return read_study(str(path), "tiny")


@pytest.fixture
def folder(out):
    """The folder of the small study, with a migrated store."""
    folder = out / "studies" / "small-tiny"
    (folder / "logs").mkdir(parents=True)
    shutil.copy(out / "mlflow.db", folder)
    return folder


def write_finished(study, folder, *curves):
    """A raw table with the first runs of the study, as if from another machine."""
    table = read_raw(folder / "raw.csv")
    for run, curve in zip(planned_runs(study), curves, strict=False):
        table = with_run(table, run, curve)
    write_table(folder / "raw.csv", table)


def arguments(out, *more):
    return (f"study={out / 'small.yaml'}", "scale=tiny", f"out={out}", *more)


def run_first_iteration(study, folder):
    """Train the second run of the study until its first checkpoint, as if killed then."""
    run = planned_runs(study)[1]
    job = job_of(run, study, folder, ParentRun(study, folder).run_id)
    assert job.command[1:5] == ("-m", "ilvf", "train", run.recipe)
    words = [word for word in job.command[5:] if not word.startswith("trainer.max_epochs")]
    before = dict(os.environ)
    os.environ.update(job.variables)
    try:
        train_algorithm(run.recipe, arguments=[*words, "trainer.max_epochs=1"])
    finally:  # the processes of the study do not see the variables of this run
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.slow
def test_a_study_continues_what_a_kill_has_left(study, folder, out, recipe, capsys):
    """One run is in the table, and one has a checkpoint after half of its iterations."""
    write_finished(study, folder, MAPPO_CURVE)
    run_first_iteration(study, folder)
    assert recipe("study", *arguments(out)) == 0
    table = read_raw(folder / "raw.csv")
    assert table["frames"].tolist() == [40, 80, 40, 80]
    assert table["algorithm"].tolist() == ["ILVF-P (threshold)"] * 2 + ["MAPPO"] * 2
    assert table["value"].tolist()[2:] == MAPPO_CURVE.tolist()
    check_store(folder)
    page = (folder / "report.md").read_text()
    assert "have not finished" not in page
    assert "| ILVF-P (threshold) | 1 |" in page
    assert "![Influence](influence.png)" in page
    check_record(folder)
    check_analysis(folder, page)
    assert str(folder / "report.md") in capsys.readouterr().out
    check_other_settings(folder, out, recipe, capsys)


def check_record(folder):
    """The run that was trained here has its time, versions and MLflow run; the other has none."""
    (record,) = read_records(folder / "runs.csv").to_dict("records")
    assert record["algorithm"] == "ILVF-P (threshold)"
    assert record["seconds"] > 0
    assert record["torch"] == torch.__version__
    assert record["python"] == platform.python_version()
    assert record["cpu"]
    assert (
        f"experiments/{record['experiment_id']}/runs/{record['run_id']}"
        in (folder / "report.md").read_text()
    )


def check_other_settings(folder, out, recipe, capsys):
    """A changed key is noticed by the record, and without it by the checkpoint."""
    path = out / "small.yaml"
    path.write_text(path.read_text().replace('"algorithm.tau": 0.5', '"algorithm.tau": 2.0'))
    found = "'ILVF-P (threshold)' on 'Encircle', seed 0, was trained with algorithm.tau=0.5"
    assert recipe("study", *arguments(out, "report=true")) == 2
    by_record = capsys.readouterr().err
    assert f"runs.csv: {found} instead of 2.0" in by_record
    (folder / "runs.csv").unlink()
    assert recipe("study", *arguments(out)) == 2
    by_checkpoint = capsys.readouterr().err
    assert f"{found} instead of 2.0; delete the folder {folder}" in by_checkpoint


def check_analysis(folder, page):
    """The run that was trained here is analysed, once; the one from elsewhere cannot be."""
    table = pd.read_csv(folder / "influence_over_episode.csv")
    assert set(table["algorithm"]) == {"ILVF-P (threshold)"}
    assert len(table) == 2 * 4 * 4  # moments × pairs of agents
    assert table["effect"].notna().all()
    assert "### Encircle: ILVF-P (threshold)" in page
    assert (folder / "influence_encircle-ilvf-p-threshold.png").is_file()


def check_store(folder):
    """One parent and one child, whose two iterations are recorded once."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("study/small-tiny")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "study.parent" in run.data.tags]
    (child,) = [run for run in runs if run is not parent]
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert parent.info.run_name == "small-tiny"
    assert child.info.run_name == "ILVF-P (threshold), seed 0"
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["task"] == "Encircle"
    assert child.data.tags["seed"] == "0"
    history = client.get_metric_history(child.info.run_id, "reward/agent_step")
    assert [point.step for point in history] == [40, 80]
    stored = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"raw.csv", "runs.csv", "report.md", "report.html", "curves.png"} <= stored
    assert child.info.run_id == read_records(folder / "runs.csv")["run_id"][0]
    assert {"raw.csv", "report.md", "curves.png", "influence_over_episode.csv"} <= stored


def test_a_committed_table_is_enough_for_the_report(study, folder, out, recipe, capsys):
    write_finished(study, folder, MAPPO_CURVE, MAPPO_CURVE + 1)
    assert recipe("study", *arguments(out)) == 0
    assert "| Encircle | ILVF-P (threshold) | 1 | 1.000 |" in (folder / "report.md").read_text()
    assert not list(folder.glob("logs/*"))
    capsys.readouterr()
    assert recipe("study", *arguments(out, "dry=true")) == 0
    assert capsys.readouterr().out == "0 of 2 runs have not finished\n"


def test_a_dry_study_lists_the_missing_runs(study, folder, out, recipe, capsys):
    write_finished(study, folder, MAPPO_CURVE)
    assert recipe("study", *arguments(out, "dry=true")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Encircle | ILVF-P (threshold) | seed 0: 80 frames",
        "1 of 2 runs have not finished",
    ]


def test_a_part_of_a_study_runs_and_the_report_is_about_all(study, folder, out, recipe, capsys):
    write_finished(study, folder, MAPPO_CURVE)
    assert recipe("study", *arguments(out, "algorithms=mappo", "seeds=0")) == 0
    assert "1 runs have not finished" in (folder / "report.md").read_text()
    capsys.readouterr()
    assert recipe("study", *arguments(out, "algorithms=mappo", "dry=true")) == 0
    assert capsys.readouterr().out == "0 of 1 runs have not finished\n"


def test_a_report_of_half_a_study_says_so(study, folder, out, recipe):
    write_finished(study, folder, MAPPO_CURVE)
    assert recipe("study", *arguments(out, "report=true")) == 0
    assert "1 runs have not finished" in (folder / "report.md").read_text()


def test_a_run_that_another_process_trains_is_not_started_again(study, folder, out, recipe, capsys):
    run_folder = folder / planned_runs(study)[0].folder
    run_folder.mkdir()
    lock = RunLock(run_folder)
    assert recipe("study", *arguments(out)) == 2
    assert "is being trained by process" in capsys.readouterr().err
    lock.release()


def test_two_processes_do_not_run_a_study_at_once(study, folder, out, recipe, capsys):
    with FileLock(folder / LOCK):
        assert recipe("study", *arguments(out)) == 2
    assert "another process runs the study" in capsys.readouterr().err


def test_leftovers_of_a_run_without_a_checkpoint_are_deleted(study, folder):
    runner = Runner(study, folder)
    begun, saved = (folder / run.folder for run in runner.runs)
    (saved / "checkpoints").mkdir(parents=True)
    (saved / "checkpoints" / "last.ckpt").touch()
    begun.mkdir()
    for run in runner.runs:
        runner.prepare(run)
    assert saved.exists()
    assert not begun.exists()


@pytest.fixture
def recorded(study, folder):
    """recorded(status): the first run of the study has all rows, and this status in MLflow."""

    def record(status):
        run = planned_runs(study)[0]
        for frames, value in MAPPO_CURVE.items():
            append_row(folder / run.folder / METRICS, frames, {run.metric: value})
        client = MlflowClient(tracking_uri(folder))
        place = client.create_experiment(experiment_of(study))
        tags = {"task": run.task, "algorithm": run.algorithm, "seed": str(run.seed)}
        client.set_terminated(client.create_run(place, tags=tags).info.run_id, status)

    return record


def test_a_run_that_ended_without_its_study_is_collected(study, folder, recorded):
    recorded("FINISHED")
    runner = Runner(study, folder)
    assert [left.key for left in runner.missing()] == [planned_runs(study)[1].key]
    assert runner.table["value"].tolist() == MAPPO_CURVE.tolist()


def test_a_run_that_was_killed_before_its_end_is_not_collected(study, folder, recorded):
    """It has its last row, but perhaps no last checkpoint."""
    recorded("KILLED")
    assert Runner(study, folder).missing() == planned_runs(study)


@pytest.mark.parametrize("last", [40, 80])
def test_a_run_that_is_not_in_mlflow_has_finished_with_its_last_checkpoint(
    last, study, folder, monkeypatch
):
    run = planned_runs(study)[0]
    content = {"ilvf": {"state": {"frames": last}}}
    monkeypatch.setattr("ilvf.studies.store.read_checkpoint", lambda path: content)
    assert has_finished(folder / "last.ckpt", run, {}) is (last == run.frames)


def test_the_report_of_a_trusted_study_says_how_to_repeat_it(study, folder, out, recipe):
    write_finished(study, folder, MAPPO_CURVE, MAPPO_CURVE)
    assert recipe("study", *arguments(out, "trust=true", "report=true")) == 0
    assert "scale=tiny trust=true`" in (folder / "report.md").read_text()


def test_a_study_without_a_name_lists_the_studies(recipe, capsys):
    assert recipe("study") == 2
    assert (
        "ablations, beyond, cheap_critics, fig3, fig4, fig8, fig9, table1, team_reward"
        in capsys.readouterr().err
    )
