"""Tasks that need what this machine lacks: left out with a note, or refused if asked for."""

import pandas as pd
import pytest

from ilvf.studies.absent import absent_tasks, reason_of_absence, with_network
from ilvf.studies.csv_tables import write_table
from ilvf.studies.part import Part
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import with_run
from ilvf.studies.runner import Runner
from study_helpers import small_study

pytest.importorskip("sumolib", reason="needs the extra ilvf[sumo]")
import traffic_nets

MONACO = "Traffic, Monaco"


@pytest.fixture(autouse=True)
def _no_network(tmp_path, monkeypatch):
    """No network of Monaco has been downloaded."""
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def study():
    return small_study(tasks=["encircle-10", "monaco"], scales={"tiny": {"seeds": "0"}})


def test_a_task_without_its_network_is_left_out_with_a_note(study, tmp_path):
    runner = Runner(study, tmp_path / "study")
    assert {run.task for run in runner.runs} == {"Encircle, 10 agents"}
    runner.report()
    page = (tmp_path / "study" / "report.md").read_text()
    assert f"**{MONACO} is left out:** there is no Monaco network" in page
    assert "net_file=FILE" in page
    assert f"## {MONACO}" not in page


def test_runs_of_another_machine_are_reported_without_the_network(study, tmp_path):
    table = pd.DataFrame()
    for run in planned_runs(study):
        table = with_run(table, run, pd.Series({run.frames: -1.0}))
    (tmp_path / "study").mkdir()
    write_table(tmp_path / "study" / "raw.csv", table)
    runner = Runner(study, tmp_path / "study")
    assert runner.absent == {}
    assert [task.title for task in runner.study.tasks] == ["Encircle, 10 agents", MONACO]


def test_a_task_that_is_asked_for_must_be_able_to_run(study, tmp_path, refused):
    with refused(MONACO, "cannot run here", "there is no Monaco network"):
        Runner(study, tmp_path / "study", Part(tasks=[MONACO]))


def test_a_study_of_which_nothing_can_run_is_refused(tmp_path, refused):
    with refused("no task can run here", "there is no Monaco network"):
        Runner(small_study(tasks=["monaco"], scales={"tiny": {}}), tmp_path / "study")


def test_a_task_that_is_not_optional_is_never_left_out():
    study = small_study(tasks=[{"use": "monaco", "optional": False}])
    assert reason_of_absence(study.tasks[0])
    assert absent_tasks(study.tasks, ()) == {}


def test_the_users_network_is_given_to_every_run(study, tmp_path):
    net = str(traffic_nets.like_monaco(tmp_path))
    changed = with_network(study, net)
    assert absent_tasks(changed.tasks, ()) == {}
    for run in planned_runs(changed):
        assert (f"env.net_file={net}" in run.arguments) == (run.task == MONACO)


def test_a_network_that_does_not_exist_or_that_no_task_reads_is_refused(study, tmp_path, refused):
    with refused("net_file", "there is no Monaco network", "nowhere.net.xml"):
        with_network(study, str(tmp_path / "nowhere.net.xml"))
    with refused("net_file is for tasks with env=monaco"):
        with_network(small_study(), "most.net.xml")
