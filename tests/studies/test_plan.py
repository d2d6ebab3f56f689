"""The runs of a study: order, arguments, frames, folders, and keys that are refused."""

import json
from pathlib import Path

import pytest

from ilvf.experiment.membership import STUDY_RUN, Membership, membership
from ilvf.studies.keys import require_trusted
from ilvf.studies.plan import planned_runs
from ilvf.studies.processes import job_of
from study_helpers import small_study


def arguments_of(run):
    return dict(argument.split("=", 1) for argument in run.arguments)


def encircle(**options):
    return {"tasks": [{"title": "Encircle", "env": "encircle", **options}]}


def test_a_study_does_not_choose_what_code_runs(refused):
    task = {"title": "Own", "env": "torchrl", "keys": {"env.task": "own_package:make"}}
    with refused("Own", "env.task='own_package:make', which imports code", "trust=true"):
        require_trusted(small_study(tasks=[task]))
    require_trusted(small_study())


def test_all_algorithms_run_with_a_seed_before_the_next_seed():
    keys = [(run.algorithm, run.seed) for run in planned_runs(small_study())]
    titles = ("MAPPO", "ILVF-P (threshold)")
    assert keys == [(title, seed) for seed in (0, 1) for title in titles]


def test_frames_become_iterations_of_each_algorithm():
    algorithms = [{"recipe": "mappo"}, {"recipe": "qmix"}]
    scales = {"tiny": {"seeds": "0", "factor": 0.5}}
    runs = planned_runs(small_study(algorithms=algorithms, scales=scales, **encircle(frames=12800)))
    assert [run.frames for run in runs] == [6400, 6400]
    assert [arguments_of(run)["trainer.max_epochs"] for run in runs] == ["2", "6"]  # and warm-up


def test_frames_of_the_scale_are_those_of_every_run():
    scales = {"tiny": {"seeds": "0", "frames": 1}}
    runs = planned_runs(small_study(scales=scales))
    assert [run.frames for run in runs] == [3200, 3200]  # one iteration


def test_keys_of_the_algorithm_win_over_the_task_and_those_of_the_scale_over_both():
    keys = {"algorithm.lr": 0.1, "algorithm.clip": 0.3, "algorithm.gamma": 0.5}
    algorithms = [{"recipe": "mappo", "keys": {"algorithm.clip": 0.4, "algorithm.gamma": 0.6}}]
    scales = {"tiny": {"seeds": "0", "keys": {"algorithm.gamma": 0.7}}}
    (run,) = planned_runs(small_study(algorithms=algorithms, scales=scales, **encircle(keys=keys)))
    found = arguments_of(run)
    assert found["algorithm.lr"] == "0.1"
    assert found["algorithm.clip"] == "0.4"
    assert found["algorithm.gamma"] == "0.7"


def test_keys_of_a_task_that_an_algorithm_does_not_have_are_left_out():
    first, second = planned_runs(small_study(**encircle(keys={"algorithm.tau": 2.0})))[:2]
    assert "algorithm.tau" not in arguments_of(first)
    assert arguments_of(second)["algorithm.tau"] == "0.5"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (encircle(keys={"algorithm.epoch": 1}), ("keys of Encircle", "'algorithm.epochs'")),
        (encircle(keys={"env.agents": 4}), ("keys of Encircle", "env.agents")),
        (encircle(keys={"algorithm.clip": -1}), ("MAPPO on Encircle", "algorithm.clip=-1")),
        (encircle(keys={"seed": 5}), ("cannot have seed",)),
        (encircle(keys={"trainer.early_stopping": 3}), ("cannot have trainer.early_stopping",)),
        (
            {"algorithms": [{"recipe": "mappo", "keys": {"algorithm.tau": 1}}]},
            ("MAPPO on Encircle", "algorithm.tau"),
        ),
        ({"scales": {"tiny": {"keys": {"algorithm.x": 1}}}}, ("keys of tiny", "algorithm.x")),
        ({"scales": {"tiny": {"keys": {"trainer.max_epochs": 1}}}}, ("trainer.max_epochs",)),
        ({"scales": {"tiny": {"preset": "papr"}}}, ("preset=papr", "did you mean 'paper'")),
        (
            {"algorithms": [{"recipe": "mappo"}, {"recipe": "mappo", "title": "mappo!"}]},
            ("several runs", "encircle_mappo_s0"),
        ),
    ],
)
def test_a_wrong_key_is_refused_before_anything_runs(changes, words, refused):
    with refused(*words):
        planned_runs(small_study(**changes))


def test_a_process_begins_the_run_with_its_title_and_tags(tmp_path):
    study = small_study()
    run = planned_runs(study)[1]
    job = job_of(run, study, tmp_path, "0123")
    assert job.command[3:5] == ("train", "ilvf_p")
    assert "algorithm.tau=0.5" in job.command
    assert f"out={tmp_path}" in job.command
    member = membership(job.variables)
    assert member is not None
    assert member.experiment == "study/small-tiny"
    assert member.name == "ILVF-P (threshold), seed 0"
    assert member.tags == {
        "mlflow.parentRunId": "0123",
        "study.id": (tmp_path / "study.id").read_text().strip(),
        "study": "small-tiny",
        "task": "Encircle",
        "algorithm": "ILVF-P (threshold)",
    }


def test_a_process_continues_from_the_last_checkpoint(tmp_path):
    study = small_study(scales={"tiny": {"preset": "paper"}})
    run = planned_runs(study)[0]
    checkpoint = tmp_path / run.folder / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    words = job_of(run, study, tmp_path, "0123").command
    assert f"resume={checkpoint}" in words
    assert not [word for word in words if word.startswith(("env=", "preset="))]


def test_a_damaged_membership_is_refused(refused):
    assert membership({}) is None
    for text in ("{", "[]", json.dumps({"name": "x"})):
        with refused(STUDY_RUN, "unset it"):
            membership({STUDY_RUN: text})


def test_a_membership_survives_the_environment():
    member = Membership("study/x", "τ = 0.5, seed 0", str(Path("folder")), {"task": "5 × 5"})
    assert membership(member.variables()) == member
