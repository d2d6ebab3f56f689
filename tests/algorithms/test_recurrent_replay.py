"""Recurrent teams, off-policy: what is replayed, saved and restored."""

import shutil
from pathlib import Path

import pytest
import torch

from algorithms.recurrent_parts import KEY, SMALL, maddpg, qmix, vdn
from helpers import assert_same_state, checkpointed, fit
from ilvf import load_policy
from ilvf.algorithms import QMIX
from ilvf.checkpoints.files import read_checkpoint
from ilvf.data.evaluation import evaluate
from memory_helpers import AGENTS, HORIZON, Cue, staggered


# ---------------------------------------------------------------------- what is replayed
class Seen(QMIX):
    """Keeps its rollouts, and the shapes of its minibatches."""

    def on_fit_start(self):
        super().on_fit_start()
        self.kept = []
        self.shapes = set()

    def measure(self, rollout):
        self.kept.append(rollout.clone())
        return super().measure(rollout)

    def training_step(self, batch, batch_idx):
        self.shapes.add(tuple(batch.shape))
        return super().training_step(batch, batch_idx)


@pytest.fixture(scope="module")
def seen():
    """Four rollouts, the first of random actions, with parameters that hardly change.

    Episodes of 5 steps end within rollouts of 6 and chunks of 3.
    """
    options = {**SMALL, "burn_in": 2, "warmup": 24, "capacity": 4000, "lr": 1e-9}
    return fit(qmix("gru", cls=Seen, env=staggered, **options), 3)


def test_hidden_states_go_on_until_their_episode_ends(seen):
    """From rollout to rollout, and where actions are random."""
    assert len(seen.kept) == 4
    rollout = torch.cat(seen.kept, 1)
    after = rollout["next"][KEY]
    done = rollout["next", "done"].unsqueeze(-1)
    assert done.any(1).all()
    assert torch.equal(rollout[KEY][:, 1:], after.masked_fill(done, 0)[:, :-1])
    assert after[:, 5:].any(-1).all()  # the first episodes have seen no cue


def test_minibatches_are_sequences(seen):
    """16 transitions are rounded up to 6 chunks of 3 steps, with 2 steps before each."""
    assert seen.shapes == {(6, 5)}


def test_replayed_sequences_lead_to_the_hidden_states_of_their_collection(seen):
    rows = seen.layout.whole(seen.replay.buffer[:])
    steps = seen.loss.transitions(rows).detach()
    places = (4, 4, 2, 3)  # rollout, environment, chunk, step
    rollout = torch.cat(seen.kept, 1)
    for key in (KEY, ("next", *KEY)):
        found = steps[key].unflatten(0, places).transpose(0, 1).flatten(1, 3)
        assert torch.allclose(found, rollout[key], atol=1e-5)
        assert found.any()


# ---------------------------------------------------------------------- resuming
@pytest.mark.parametrize(
    ("make", "burn_in"), [(qmix, 0), (vdn, 4), (maddpg, 6)], ids=["qmix", "vdn", "maddpg"]
)
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(make, burn_in, tmp_path):
    """Bit for bit; episodes of 5 steps go on from rollout to rollout of 6."""

    def tiny():
        return make("gru", **{**SMALL, "burn_in": burn_in})

    _, whole = checkpointed(tiny(), 4, tmp_path / "whole")
    path, _ = checkpointed(tiny(), 2, tmp_path / "half")
    saved = read_checkpoint(path)["ilvf"]["state"]["ranks"][0]
    assert saved["hidden"]["agents.hidden"].any()
    assert ("before" in saved) == (burn_in > 0)
    _, resumed = checkpointed(tiny(), 4, tmp_path / "half", ckpt_path=path)
    assert_same_state(whole, resumed)
    assert whole.last_metrics["reward/agent_step"] == resumed.last_metrics["reward/agent_step"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Of two iterations, with a burn-in of 2."""
    folder = tmp_path_factory.mktemp("run")
    return checkpointed(qmix("gru", **{**SMALL, "burn_in": 2}), 2, folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"burn_in": 0}, ("they are 2", "burn_in=0")),
        ({"burn_in": 3}, ("they are 2", "burn_in=3")),
        ({"chunk": 2}, ("rollouts of 8 sequences", "12", "algorithm.chunk")),
        ({"chunk": 6, "rollout_steps": 12}, ("other tensors", "options of the run")),
    ],
)
def test_a_buffer_of_other_sequences_is_one_sentence(checkpoint, options, words, tmp_path, refused):
    module = qmix("gru", **{**SMALL, "burn_in": 2, **options})
    with refused(*words):
        checkpointed(module, 3, tmp_path, ckpt_path=checkpoint[0])


CANNOT = ("steps before the next rollout cannot be restored", "begin a new run")
OTHER = ("last steps have other tensors", "begin a new run")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (7, CANNOT),
        ({}, CANNOT),
        ({"agents": 7}, CANNOT),
        ({"agents": {"observation": torch.zeros(4)}}, CANNOT),
        ({"agents": {"observation": torch.zeros(4, 2, AGENTS, 3)}}, OTHER),
    ],
    ids=["number", "empty", "no tensors", "other shape", "only observations"],
)
def test_saved_steps_that_do_not_fit_are_one_sentence(checkpoint, wrong, words, tmp_path, refused):
    run = tmp_path / "run"
    source = Path(checkpoint[0])
    shutil.copytree(source.parents[1], run)
    content = read_checkpoint(source)
    content["ilvf"]["state"]["ranks"][0]["before"] = wrong
    torch.save(content, run / "checkpoints" / source.name)
    module = qmix("gru", **{**SMALL, "burn_in": 2})
    with refused(*words):
        checkpointed(module, 3, run, ckpt_path=run / "checkpoints" / source.name)


# ---------------------------------------------------------------------- afterwards
def test_a_loaded_policy_acts_as_the_team_that_was_evaluated(checkpoint):
    path, module = checkpoint
    policy = load_policy(path)
    assert "recurrent" in repr(policy)
    _, rollout = evaluate(Cue(num_envs=50, seed=1), module.loss.actor, max_steps=HORIZON)
    for step in range(HORIZON):
        action = policy(rollout["agents", "observation"][:, step])
        assert torch.equal(action, rollout["agents", "action"][:, step])
    assert policy.state.any()
