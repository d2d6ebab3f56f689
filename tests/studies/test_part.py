"""Parts of a study that the command line chooses, and what is refused."""

import pytest
from omegaconf import OmegaConf

from ilvf.studies.part import Part, part_of
from ilvf.studies.plan import planned_runs
from study_helpers import TINY_KEYS, small_study

TASKS = ["encircle-10", "encircle-20", {"title": "Encircle", "env": "encircle"}]
STUDY = small_study(tasks=TASKS, scales={"tiny": {"seeds": "0-3", "keys": TINY_KEYS}})


@pytest.mark.parametrize(
    ("given", "titles"),
    [
        ("encircle-10", ["Encircle, 10 agents"]),
        ("Encircle-10,encircle-20", ["Encircle, 10 agents", "Encircle, 20 agents"]),
        ("encircle, 20 AGENTS", ["Encircle, 20 agents"]),
        ("Encircle, 2", ["Encircle, 20 agents"]),
        ("encircle", ["Encircle"]),
        (["Encircle, 10 agents", "encircle-2"], ["Encircle, 10 agents", "Encircle, 20 agents"]),
        (OmegaConf.create(["encircle-10"]), ["Encircle, 10 agents"]),
    ],
)
def test_tasks_are_chosen_by_name_title_or_beginning(given, titles):
    assert part_of(STUDY, given, None, None).tasks == titles


def test_a_part_has_the_runs_that_fit_all_choices():
    part = part_of(STUDY, "encircle-10", "ilvf", "1,3")
    runs = [run.key for run in planned_runs(STUDY) if part.has(run)]
    task = "Encircle, 10 agents"
    assert runs == [(task, "ILVF-P (threshold)", 1), (task, "ILVF-P (threshold)", 3)]
    assert all(Part().has(run) for run in planned_runs(STUDY))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (("encircle-", None, None), ("tasks=encircle-", "10 agents or Encircle, 20", "more")),
        (("circle-10", None, None), ("tasks=circle-10", "did you mean 'encircle-10'")),
        (("", None, None), ("tasks=", "choose from")),
        ((3, None, None), ("tasks=3", "choose from encircle-10, encircle-20")),
        (([], None, None), ("tasks=[]", "leave it out")),
        ((None, "mapo", None), ("algorithms=mapo", "did you mean 'MAPPO'")),
        ((None, None, "4"), ("seeds=4", "0-3")),
        ((None, None, "x"), ("seeds=x", "no list of seeds")),
    ],
)
def test_a_choice_that_fits_nothing_or_too_much_is_refused(choice, words, refused):
    with refused(*words):
        part_of(STUDY, *choice)


def test_a_part_without_a_run_is_refused(refused):
    algorithms = [{"recipe": "mappo"}, {"recipe": "ippo", "tasks": ["encircle-20"]}]
    study = small_study(tasks=TASKS, algorithms=algorithms)
    with refused("do not run on the chosen tasks"):
        part_of(study, "encircle-10", "ippo", None)
