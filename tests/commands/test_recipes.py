"""The recipes of the on-policy baselines: they run, resume exactly and are evaluated."""

import pytest
import torch
from tensordict import TensorDict

from helpers import TINY
from ilvf.modules import RandomActor
from run_helpers import assert_same_learning, folder_with_store, only_run

RECIPES = ("mappo", "ippo", "ilvf_s", "no_inferring", "coma", "prd")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mappo", "ilvf_s", "coma"])  # ILVF-P: test_one_run.py
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(name, out, store, recipe, capsys):
    """Bit for bit, with episodes that cross the rollouts; then the checkpoint is evaluated."""
    whole = folder_with_store(out / "whole", store)
    halves = folder_with_store(out / "halves", store)
    options = (*TINY, "algorithm.rollout_steps=7")
    assert recipe(name, *options, f"out={whole}", "trainer.max_epochs=6") == 0
    assert recipe(name, *options, f"out={halves}", "trainer.max_epochs=3") == 0
    assert recipe(name, "resume=last", f"out={halves}", "trainer.max_epochs=6") == 0
    assert_same_learning(whole, halves)
    capsys.readouterr()
    assert recipe("evaluate", f"checkpoint={only_run(halves)}", "animation=false") == 0
    assert "reward/agent_step" in capsys.readouterr().out


@pytest.mark.parametrize("name", RECIPES)
def test_the_preset_of_the_paper(name, recipe, capsys):
    """Keys of the preset that a recipe does not have are left out."""
    assert recipe(name, "preset=paper", "--cfg") == 0
    page = capsys.readouterr().out
    assert "lr: 8.0e-05" in page
    assert "n_obstacles: 3" in page


@pytest.mark.parametrize(
    ("name", "argument", "words"),
    [
        ("mappo", "algorithm.critic=centre", ("algorithm.critic='centre'", "central")),
        ("ippo", "algorithm.critic=global", ("algorithm.critic='global'", "observation")),
        ("prd", "algorithm.threshold=0", ("threshold=0", "(0, 1]")),
        ("coma", "algorithm.tau=1", ("unknown key 'algorithm.tau'",)),
        ("ilvf_p", "algorithm.evidence=3", ("unknown key", "an option of ilvf_s")),
    ],
)
def test_bad_arguments(name, argument, words, recipe, out, capsys):
    assert recipe(name, *TINY, f"out={out}", argument) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error


# ---------------------------------------------------------------------- random policies
def test_a_random_policy_is_evaluated_without_a_checkpoint(recipe, tmp_path, capsys):
    pages = []
    task = ("env.n_agents=4", "env.horizon=10", "animation=false")
    arguments = ("policy=random", *task, f"out={tmp_path}")
    for _ in range(2):
        assert recipe("evaluate", *arguments) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert "reward/agent_step" in pages[0]
    assert (tmp_path / "random-encircle-episode.png").exists()


@pytest.mark.parametrize(
    ("arguments", "word"), [(("policy=nobody",), "nobody"), ((), "checkpoint=PATH")]
)
def test_an_evaluation_needs_a_known_policy_or_a_checkpoint(arguments, word, recipe, capsys):
    assert recipe("evaluate", *arguments) == 2
    assert word in capsys.readouterr().err


def test_random_actions_are_uniform_over_the_possible_ones():
    actor = RandomActor(3, masked=True)
    mask = torch.tensor([True, False, True]).expand(4000, 2, 3)
    agents = {"observation": torch.randn(4000, 2, 5), "action_mask": mask}
    td = TensorDict({"agents": agents}, [4000])
    action = actor(td)["agents", "action"]
    assert set(action.unique().tolist()) == {0, 2}
    assert (action == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.allclose(td["agents", "action_log_prob"], torch.tensor(0.5).log())
