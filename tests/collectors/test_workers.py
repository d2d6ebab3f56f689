"""Rollouts from workers: whole, from the present weights, and the same after a death."""

import copy
import functools

import pytest
import torch

from collector_envs import broken, deadly, forgetful, refusing
from collector_helpers import (
    CHECKPOINT,
    WORDS,
    kill_process,
    made,
    rollouts_of,
    trained,
)
from helpers import TINY, assert_same_state
from ilvf.checkpoints.fit import environments_of, require_same_workers
from ilvf.checkpoints.state import require_generators
from ilvf.checkpoints.verify import require_checkpoint
from ilvf.collectors.part import Plan
from ilvf.collectors.team import DEATHS, WorkerRollouts, split, worker_seed
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor
from ilvf.modules.actors.categorical import select_action

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """trainings(NAME): an undisturbed training: (module, what was seen, its folder)."""

    @functools.cache
    def train(name):
        folder = tmp_path_factory.mktemp(name)
        module = made(name)
        return module, trained(module, folder), folder

    return train


# ---------------------------------------------------------------------- rollouts
def test_a_rollout_is_whole_and_from_the_present_weights(trainings):
    module, watch, _ = trainings("mappo")
    actor = copy.deepcopy(module.loss.actor)
    for rollout, weights in zip(watch.rollouts, watch.actors, strict=True):
        assert rollout.shape == (3, 6)
        actor.load_state_dict(weights)
        assert largest_error(actor, rollout) < 1e-5
    assert largest_error(actor, watch.rollouts[0]) > 1e-4


def largest_error(actor, rollout):
    """Largest difference of the log-probabilities in a rollout from those of an actor."""
    agents = rollout["agents"]
    found = select_action(actor.log_probs_of(rollout), agents["action"])
    return (found - agents["action_log_prob"]).abs().max().item()


def test_all_environments_of_all_workers_differ(trainings):
    _, watch, _ = trainings("mappo")
    first = watch.rollouts[0]["agents", "observation"][:, 0]
    assert len(first.flatten(1).unique(dim=0)) == 3


def test_environments_are_spread_evenly_with_seeds_of_their_own():
    plans = split(Plan(Encircle, b"", 7, 4, seed=5), 3, None)
    assert [plan.num_envs for plan in plans] == [2, 2, 3]
    assert [plan.seed for plan in plans] == [worker_seed(5, k) for k in range(3)]
    assert len({worker_seed(seed, k) for seed in range(20) for k in range(20)}) == 400


# ---------------------------------------------------------------------- deaths and resuming
@pytest.mark.parametrize("name", list(WORDS))
def test_a_training_whose_worker_is_killed_ends_like_one_without(name, trainings, tmp_path):
    whole, _, _ = trainings(name)
    module = made(name)
    with pytest.warns(UserWarning, match="worker 1 was killed by SIGKILL.*1 of at most 2 times"):
        trained(module, tmp_path, kill=kill_process)
    assert_same_state(whole, module)


@pytest.mark.parametrize("name", list(WORDS))
def test_a_resumed_training_ends_like_one_without_a_stop(name, trainings, tmp_path):
    whole, _, folder = trainings(name)
    module = made(name)
    trained(module, tmp_path, ckpt_path=str(folder / CHECKPOINT))
    assert_same_state(whole, module)


@pytest.fixture(scope="module")
def actor():
    """A policy for `Encircle(4)`."""
    return CategoricalActor(4, Encircle(4).observation_dim, 5, hidden=8)


def test_environments_that_cannot_be_saved_begin_new_episodes(actor):
    rollouts = rollouts_of(forgetful, actor)
    first = next(rollouts)
    rollouts.workers[0].process.kill()
    with pytest.warns(UserWarning, match="in new episodes"):
        second = next(rollouts)
    rollouts.shutdown()
    key = ("agents", "observation")
    assert second.shape == (2, 4)
    assert not torch.equal(first[key][:, 0], second[key][:, 0])
    assert not torch.equal(first["next"][key][:, -1], second[key][:, 0])


def test_a_worker_that_always_dies_ends_the_run(actor, refused):
    rollouts = rollouts_of(deadly, actor)
    words = ("worker 0 was killed by SIGKILL", f"died {DEATHS} times in a row")
    with pytest.warns(UserWarning, match="started again") as said, refused(*words):
        next(rollouts)
    rollouts.shutdown()
    assert len(said) == DEATHS - 1


@pytest.mark.parametrize(
    ("make_env", "sentence"),
    [
        (broken, "collector worker 0 has failed: ValueError: no license"),
        (refusing, "this machine lacks the simulator"),
    ],
)
def test_a_worker_that_fails_is_not_started_again(make_env, sentence, actor, refused):
    rollouts = rollouts_of(make_env, actor)
    with refused(sentence):
        next(rollouts)
    rollouts.shutdown()


def test_an_environment_that_cannot_be_sent_is_one_sentence(actor, refused):
    with refused("cannot be sent to a worker", "at the top of a module"):
        rollouts_of(lambda **arguments: Encircle(4, **arguments), actor)


def test_no_process_is_left(actor):
    rollouts = rollouts_of(forgetful, actor)
    process = rollouts.workers[0].process
    rollouts.shutdown()
    assert process.exitcode == 0


# ---------------------------------------------------------------------- checkpoints
@pytest.fixture
def content(trainings):
    """What a checkpoint of the training has."""
    _, _, folder = trainings("mappo")
    return torch.load(folder / CHECKPOINT, weights_only=True)


def test_a_checkpoint_has_the_state_of_each_worker(content):
    (rank,) = content["ilvf"]["state"]["ranks"]
    assert [len(worker["env"]["position"]) for worker in rank["workers"]] == [1, 2]
    assert environments_of(rank) == {3}
    require_checkpoint("x", content)
    require_generators("x", [rank])


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ([], "workers of process 0 is empty"),
        ("words", "not a list"),
        ([5], "no entry worker.generators of worker 0 of process 0"),
        ([{"generators": {}}], "no entry worker.env"),
        ([{"generators": {}, "env": 3}], "worker.env of worker 0 of process 0 is a int"),
    ],
    ids=str,
)
def test_a_damaged_checkpoint_is_one_sentence(content, workers, words, refused):
    content["ilvf"]["state"]["ranks"][0]["workers"] = workers
    with refused(words):
        require_checkpoint("x", content)


def test_damaged_generators_of_a_worker_are_one_sentence(content, refused):
    (rank,) = content["ilvf"]["state"]["ranks"]
    rank["workers"][1]["generators"]["numpy"] = 5
    with refused("random generators of worker 1 of process 0"):
        require_generators("x", [rank])


@pytest.mark.parametrize(
    ("saved", "workers", "words"),
    [
        ({}, 2, "environments of the run's own process, this run collects in 2 workers"),
        ({"workers": [1, 2]}, 0, "of 2 workers, this run collects in the run's own process"),
        ({"workers": [1, 2]}, 3, "trainer.collector_workers"),
    ],
)
def test_another_number_of_workers_is_refused(saved, workers, words, refused):
    with refused(words):
        require_same_workers(saved, workers)


# ---------------------------------------------------------------------- the command line
SPREAD = ("trainer.collector=processes", "trainer.logger=none")


def test_a_command_trains_and_resumes_with_workers(recipe, tmp_path, capsys):
    assert recipe("ippo", *TINY, *SPREAD, f"out={tmp_path}", "trainer.max_epochs=1") == 0
    again = ("resume=last", f"out={tmp_path}", "trainer.max_epochs=2")
    assert recipe("ippo", *again, "trainer.collector=local", "trainer.collector_workers=2") == 2
    assert "of 2 workers, this run collects in the run's own process" in capsys.readouterr().err
    assert recipe("ippo", *again) == 0
    (path,) = tmp_path.glob("*/checkpoints/last.ckpt")
    state = torch.load(path, weights_only=True)["ilvf"]["state"]
    assert state["frames"] == 80
    assert len(state["ranks"][0]["workers"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trainer.collector=cluster"], "choose one of local, processes, ray"),
        (["trainer.collector_workers=0"], "at least 1"),
        (["trainer.collector_workers=4"], "add trainer.collector=processes"),
        (["trainer.collector=processes", "trainer.collector_workers=5"], "num_envs=4"),
    ],
    ids=str,
)
def test_a_wrong_option_is_one_sentence(arguments, words, recipe, tmp_path, capsys):
    assert recipe("ippo", *TINY, *arguments, f"out={tmp_path}") == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_workers_of_the_environment_are_refused_beside_those_of_the_run(recipe, tmp_path, capsys):
    arguments = ("env=pettingzoo", "env.workers=2", "trainer.collector=processes")
    assert recipe("ippo", *arguments, f"out={tmp_path}") == 2
    assert "env.workers=2 and trainer.collector=processes both spread" in capsys.readouterr().err


# ---------------------------------------------------------------------- interrupts
class Interrupted:
    """A worker in whose answer Ctrl-C is pressed."""

    def __init__(self, plan, number):
        self.ended = False

    def ask(self, order):
        pass

    def answer(self):
        raise KeyboardInterrupt

    def end(self):
        self.ended = True


def test_an_interrupted_collection_leaves_no_answer_for_the_next(refused):
    actor = CategoricalActor(4, 18, 5)
    plans = split(Plan(Encircle, b"", 7, 4, seed=5), 2, None)
    rollouts = WorkerRollouts(Interrupted, plans, actor, torch.device("cpu"))
    workers = list(rollouts.workers)
    with pytest.raises(KeyboardInterrupt):
        next(rollouts)
    assert all(worker.ended for worker in workers)
    with refused("workers have ended"):
        next(rollouts)
