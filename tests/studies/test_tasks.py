"""Ready-made tasks, what a study changes in them, and which packages they need."""

import sys

import pytest

from ilvf.experiment.config import overlays
from ilvf.studies.absent import absent_tasks, reason_of_absence
from ilvf.studies.description import StudyTask
from ilvf.studies.tasks import task_content


@pytest.mark.parametrize("name", overlays("task"))
def test_every_ready_made_task_can_be_named(name):
    task = StudyTask(**task_content(name))
    assert task.name == name
    assert task.title != name


def test_a_study_changes_options_and_single_keys():
    changes = {"use": "predators", "frames": 1000, "keys": {"env": {"dim": 5}}}
    task = StudyTask(**task_content(changes))
    assert (task.title, task.frames) == ("Predator Capture Prey", 1000)
    assert task.keys["env.dim"] == 5
    assert task.keys["algorithm.rollout_steps"] == 80


def test_a_task_of_ones_own_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("{title: Mine, env: encircle, keys: {env.n_agents: 6}}")
    task = StudyTask(**task_content({"use": str(path), "name": "mine"}))
    assert (task.name, task.keys) == ("mine", {"env.n_agents": 6})


NEEDED = {  # task: a module that it needs, what brings it
    "vmas-navigation": ("vmas", 'pip install "ilvf[vmas]"'),
    "vmas-balance": ("vmas", 'pip install "ilvf[vmas]"'),
    "spread": ("mpe2.simple_spread_v3", "mpe2"),
    "foraging": ("lbforaging", 'pip install "ilvf[lbf]"'),
    "rware": ("rware", 'pip install "ilvf[rware]"'),
}


@pytest.mark.parametrize("name", NEEDED)
def test_a_task_of_a_suite_is_left_out_without_its_package(name, monkeypatch):
    task = StudyTask(**task_content(name))
    assert reason_of_absence(task) == ""
    module, words = NEEDED[name]
    monkeypatch.setitem(sys.modules, module, None)
    absent = absent_tasks([task], ())
    assert list(absent) == [task.title]
    assert words in absent[task.title]
