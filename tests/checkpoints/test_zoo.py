"""The trained teams of the package: they are there, they are small, and they score as recorded."""

import importlib

import pytest
import torch

from helpers import ROOT
from ilvf.checkpoints.files import find_checkpoint
from ilvf.checkpoints.policy import load_policy
from ilvf.checkpoints.zoo import FOLDER, LIST, entries

NAMES = list(entries())
LARGEST = 2 * 2**20  # [bytes] of all together
SUMO = ("large_grid", "monaco", "sumo")  # environments that need it


def test_the_list_has_every_file_and_the_zoo_is_small():
    files = set(FOLDER.iterdir()) - {LIST}
    assert files == {FOLDER / f"{name}.ckpt" for name in NAMES}
    assert sum(path.stat().st_size for path in files) <= LARGEST


@pytest.fixture
def tool(monkeypatch):
    """The program that puts teams into the zoo."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("add_to_zoo")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_team_scores_as_recorded(name, tool):
    """Within four standard deviations of a batch; the episodes are those of the first batch."""
    entry = entries()[name]
    if entry["task"]["name"] in SUMO:
        pytest.importorskip("sumo", reason="needs the extra ilvf[sumo]")
    metrics = tool.scores_of_seed(find_checkpoint(f"zoo:{name}", FOLDER), tool.SEED)
    for metric, score in entry["scores"].items():
        assert abs(metrics[metric] - score["mean"]) <= 4 * score["sd"] + 1e-6, metric


def test_a_team_keeps_how_it_is_evaluated(tool, refused):
    assert tool.changes(["eval_episodes=2", "eval_deterministic=false"]) == {
        "eval_episodes": 2,
        "eval_deterministic": False,
    }
    with refused("eval_episodes=0 must be in"):
        tool.changes(["eval_episodes=0"])
    with refused("add_to_zoo.py has no option 'eval_episode'", "did you mean 'eval_episodes'"):
        tool.changes(["eval_episode=2"])


def test_a_team_is_a_policy():
    policy = load_policy("zoo:encircle-10")
    arguments = policy.actor.arguments
    observation = torch.zeros(3, arguments["n_agents"], arguments["observation_dim"])
    assert policy(observation).shape == (3, arguments["n_agents"])


def test_the_command_evaluates_it_and_draws_elsewhere(recipe, tmp_path, capsys):
    words = ["checkpoint=zoo:encircle-10", f"out={tmp_path}", "algorithm.eval_episodes=2"]
    assert recipe("evaluate", *words) == 0
    assert "return/team" in capsys.readouterr().out
    assert (tmp_path / "encircle-10-episode.png").is_file()
    assert not list(FOLDER.glob("*.png"))


def test_a_temperature_near_zero_samples_the_most_likely_actions(recipe, tmp_path, capsys):
    words = ["checkpoint=zoo:encircle-10", f"out={tmp_path}", "algorithm.eval_episodes=2"]
    cold = "algorithm.eval_temperature=1e-6"
    pages = []
    for more in ([], ["algorithm.eval_deterministic=false", cold]):
        assert recipe("evaluate", *words, *more, "animation=false") == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert recipe("evaluate", *words, cold) == 2
    assert "give eval_deterministic=false too" in capsys.readouterr().err


def test_an_unknown_team_is_refused(refused):
    with refused("zoo:encircel-10", "did you mean 'encircle-10'"):
        find_checkpoint("zoo:encircel-10", FOLDER)


def test_what_needs_the_critic_says_that_there_is_none(recipe, capsys):
    assert recipe("audit", "checkpoint=zoo:encircle-10") == 2
    assert "has the actor alone" in capsys.readouterr().err


def test_a_training_cannot_go_on_from_it(recipe, capsys):
    assert recipe("ilvf_p", "resume=zoo:encircle-10") == 2
    assert "zoo/encircle-10.ckpt" in capsys.readouterr().err


def test_a_mask_of_another_batch_is_refused(refused):
    policy = load_policy("zoo:predators")
    n, size = (policy.actor.arguments[name] for name in ("n_agents", "observation_dim"))
    mask = torch.ones(n, policy.actor.actions.width, dtype=torch.bool)
    with refused("action_mask has shape (8, 6), need (2, 8, 6)"):
        policy(torch.randn(2, n, size), mask)
