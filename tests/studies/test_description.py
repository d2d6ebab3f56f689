"""The description of a study: its defaults, the shipped studies, and what is refused."""

import pytest

from ilvf.experiment.config import overlays
from ilvf.studies.description import read_study, study_of
from ilvf.studies.plan import planned_runs
from study_helpers import content, small_study

SCALES = ("smoke", "cpu", "paper")


def test_an_algorithm_without_a_title_has_the_recipes():
    titles = [algorithm.title for algorithm in small_study().algorithms]
    assert titles == ["MAPPO", "ILVF-P (threshold)"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["beyond", "fig3", "fig8", "fig9"])
def test_the_runs_of_every_shipped_study_can_be_planned(name, scale):
    study = read_study(name, scale)
    runs = planned_runs(study)
    titles = {algorithm.title for algorithm in study.algorithms}
    assert {run.algorithm for run in runs} == titles
    assert len({run.key for run in runs}) == len(runs)
    shown = {title for panel in study.panels.values() for title in panel}
    assert shown == titles


def test_the_studies_of_the_issue_are_shipped():
    assert overlays("study") == ["beyond", "fig3", "fig8", "fig9"]


def test_a_scale_chooses_tasks():
    tasks = [{"title": title, "env": "encircle"} for title in ("one", "two")]
    scales = {"tiny": {"tasks": ["two"]}}
    assert [task.title for task in small_study(tasks=tasks, scales=scales).tasks] == ["two"]


def test_a_study_of_ones_own_is_read_from_a_yaml_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "baseline: MAPPO\n"
        "algorithms: [{recipe: mappo}]\n"
        "tasks: [{title: Encircle, env: encircle, keys: {env: {n_agents: 6}}}]\n"
        "scales: {cpu: {}}\n"
    )
    study = read_study(str(path), "cpu")
    assert study.tasks[0].keys == {"env.n_agents": 6}
    assert study.scale.seeds == "0-4"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algoritms": []}, ("'algoritms'", "did you mean 'algorithms'")),
        ({"algorithms": []}, ("algorithms is empty",)),
        ({"algorithms": ["mappo"]}, ("entry 1 of algorithms", "not a mapping")),
        ({"algorithms": [{"title": "A"}]}, ("entry 1", "recipe")),
        ({"algorithms": [{"recipe": "mapo"}]}, ("'mapo'", "did you mean 'mappo'")),
        ({"algorithms": [{"recipe": "mappo", "key": {}}]}, ("'key'", "did you mean 'keys'")),
        ({"algorithms": [{"recipe": "mappo"}] * 2}, ("two algorithms", "MAPPO")),
        ({"algorithms": [{"recipe": "mappo", "title": "a\nb"}]}, ("the title", "one line")),
        ({"baseline": "mappo"}, ("baseline", "did you mean 'MAPPO'")),
        ({"tasks": [{"title": "T"}]}, ("has no env",)),
        ({"tasks": [{"title": "T", "env": "circle"}]}, ("entry 1 of tasks", "circle")),
        ({"tasks": [{"title": "T", "env": "encircle", "frames": 0}]}, ("frames=0",)),
        ({"tasks": [{"title": "T", "env": "encircle", "better": "more"}]}, ("higher, lower",)),
        ({"tasks": [{"title": "T", "env": "encircle", "algorithms": ["X"]}]}, ("'X'", "T")),
        ({"panels": {"all": ["X"]}}, ("panel all", "'X'")),
        ({"scales": {"big": {}}}, ("scale=tiny", "big")),
        ({"scales": {"tiny": {"seeds": "4-0"}}}, ("scale tiny", "4-0", "empty")),
        ({"scales": {"tiny": {"tasks": ["X"]}}}, ("tasks of the scale", "'X'")),
    ],
)
def test_a_mistake_is_one_sentence(changes, words, refused):
    with refused(*words):
        small_study(**changes)


def test_a_mistake_in_a_file_names_the_study(tmp_path, refused):
    path = tmp_path / "mine.yaml"
    path.write_text("tasks: []\n")
    with refused(str(path), "algorithms is empty"):
        read_study(str(path), "cpu")


def test_an_unknown_scale_is_refused(refused):
    with refused("scale=smal", "tiny"):
        study_of("small", content(), "smal")
