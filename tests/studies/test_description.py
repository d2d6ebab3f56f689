"""The description of a study: its defaults, the shipped studies, and what is refused."""

import pytest

from ilvf.experiment.config import overlay_of, overlays
from ilvf.studies.description import read_study, study_of
from ilvf.studies.plan import planned_runs
from study_helpers import content, small_study

SCALES = ("smoke", "cpu", "paper")
SHIPPED = [
    "ablations",
    "beyond",
    "cheap_critics",
    "fig3",
    "fig4",
    "fig8",
    "fig9",
    "table1",
    "team_reward",
]
ANALYSIS = "influence_over_episode"


def after(options):
    """Changes of a study that has the analysis with these options."""
    return {"after": [ANALYSIS], "scales": {"tiny": {"after": {ANALYSIS: options}}}}


def test_an_algorithm_without_a_title_has_the_recipes():
    titles = [algorithm.title for algorithm in small_study().algorithms]
    assert titles == ["MAPPO", "ILVF-P (threshold)"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SHIPPED)
def test_the_runs_of_every_shipped_study_can_be_planned(name, scale):
    study = read_study(name, scale)
    runs = planned_runs(study)
    titles = {algorithm.title for algorithm in study.algorithms}
    running = {run.algorithm for run in runs}
    assert running == titles or (scale == "smoke" and titles - running == {"Oracle"})
    assert len({run.key for run in runs}) == len(runs) <= (18 if scale == "smoke" else 1200)
    shown = {title for panel in study.panels.values() for title in panel}
    assert shown == titles


def test_the_studies_of_the_issue_are_shipped():
    assert overlays("study") == SHIPPED


def test_figure_3_has_all_tasks_and_the_slow_algorithms_on_some_as_in_the_paper():
    study = read_study("fig3", "cpu")
    of_task = {task.name: [a.title for a in study.algorithms_of(task)] for task in study.tasks}
    assert list(of_task) == [
        "encircle-10",
        "encircle-20",
        "predators",
        "catch-up",
        "slow-down",
        "large-grid",
        "monaco",
    ]
    on_policy = ["ILVF-P", "ILVF-S", "MAPPO", "IPPO-C"]
    for name, titles in of_task.items():
        more = ["QMIX", "MADDPG"] if name in ("encircle-10", "encircle-20", "predators") else []
        assert titles == on_policy + more


def test_table_1_is_the_preset_of_the_paper():
    """The last variant has all keys of the preset, and each other variant one of them."""
    preset = overlay_of("preset", "paper")["algorithm"]
    keys = {a.title: a.keys for a in read_study("table1", "cpu").algorithms}
    everything = keys.pop("ILVF-P, all of table 1")
    assert everything == {f"algorithm.{name}": value for name, value in preset.items()}
    single = [changed for changed in keys.values() if len(changed) == 1]
    assert {key: value for changed in single for key, value in changed.items()} == everything


def test_a_scale_chooses_tasks():
    tasks = [{"title": title, "env": "encircle"} for title in ("one", "two")]
    scales = {"tiny": {"tasks": ["two"]}}
    assert [task.title for task in small_study(tasks=tasks, scales=scales).tasks] == ["two"]


def test_a_scale_and_an_algorithm_choose_tasks_by_name():
    algorithms = [{"recipe": "mappo"}, {"recipe": "ippo", "tasks": ["gifts"]}]
    scales = {"tiny": {"tasks": ["gifts", "Encircle, 20 agents"]}}
    tasks = ["encircle-10", "encircle-20", "gifts"]
    study = small_study(algorithms=algorithms, tasks=tasks, scales=scales)
    names = {task.name: [a.title for a in study.algorithms_of(task)] for task in study.tasks}
    assert names == {"encircle-20": ["MAPPO"], "gifts": ["MAPPO", "IPPO"]}


def test_a_study_of_ones_own_is_read_from_a_yaml_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "baseline: MAPPO\n"
        "algorithms: [{recipe: mappo}]\n"
        "tasks: [{title: Encircle, env: encircle, keys: {env: {n_agents: 6}}}]\n"
        "scales: {cpu: {}, one: {seeds: 3}}\n"
    )
    study = read_study(str(path), "cpu")
    assert study.tasks[0].keys == {"env.n_agents": 6}
    assert study.scale.seeds == "0-4"
    assert read_study(str(path), "one").scale.seeds == "3"


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
        ({"references": {"ends": ["X"]}}, ("reference ends", "'X'")),
        ({"references": {"ends": "MAPPO"}}, ("reference ends", "list")),
        ({"scales": {"big": {}}}, ("scale=tiny", "big")),
        ({"scales": {"tiny": {"seeds": "4-0"}}}, ("scale tiny", "4-0", "empty")),
        ({"scales": {"tiny": {"tasks": ["X"]}}}, ("tasks of the scale", "'X'")),
        ({"tasks": ["encirle-10"]}, ("entry 1 of tasks", "did you mean 'encircle-10'")),
        ({"tasks": [["encircle-10"]]}, ("entry 1 of tasks", "not a mapping")),
        ({"tasks": [{"use": 3}]}, ("entry 1 of tasks", "use=3")),
        ({"tasks": ["gifts", {"use": "gifts", "title": "T"}]}, ("two tasks", "gifts")),
        ({"algorithms": [{"recipe": "mappo", "tasks": ["X"]}]}, ("tasks of MAPPO", "'X'")),
        ({"after": [["influence"]]}, ("after: ['influence']", ANALYSIS)),
        ({"after": ["influence"]}, ("after: 'influence'", ANALYSIS)),
        ({"scales": {"tiny": {"after": {ANALYSIS: {}}}}}, ("list it in after of the study",)),
        (after(3), ("not a mapping", "found 3")),
        (after({"states": 3}), (ANALYSIS, "'states'", "options are")),
        (after({"episodes": 1}), ("after of the scale", "episodes=1")),
        (after({"moments": "0.5,2"}), ("moments='0.5,2'", "[0, 1]")),
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


def test_two_tasks_of_one_name_are_told_apart_by_it(refused):
    tasks = [{"title": title, "name": "same", "env": "encircle"} for title in ("one", "two")]
    with refused("two tasks have the name ['same']; give one another name"):
        small_study(tasks=tasks)
