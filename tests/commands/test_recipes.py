"""Every on-policy baseline through its recipe: it runs, resumes exactly, is evaluated."""

import pytest
import torch
from tensordict import TensorDict

from helpers import TINY
from ilvf.modules import RandomActor

RECIPES = ("mappo", "ippo", "no_inferring", "coma", "prd")


@pytest.fixture
def run(recipe, tmp_path, store):
    """run("mappo", "algorithm.lr=1"): the weights of a tiny run, in a folder of its own."""
    count = iter(range(100))

    def start(name, *args, out=None):
        out = out or tmp_path / str(next(count))
        if not out.exists():
            out.mkdir()
            (out / "mlflow.db").write_bytes(store.read_bytes())
        assert recipe(name, *args, f"out={out}") == 0
        (newest,) = out.glob("*/checkpoints/last.ckpt")
        return out, torch.load(newest, weights_only=True)["state_dict"]

    return start


@pytest.mark.parametrize("name", RECIPES)
def test_three_and_three_are_six(name, run, recipe, capsys):
    """Bit for bit, with episodes that cross the rollouts; and the checkpoint can be evaluated."""
    tiny = (*TINY, "algorithm.rollout_steps=7")
    _, straight = run(name, *tiny, "trainer.max_epochs=6")
    out, _ = run(name, *tiny, "trainer.max_epochs=3")
    _, resumed = run(name, "resume=last", "trainer.max_epochs=6", out=out)
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(v, resumed[k]) for k, v in straight.items())
    capsys.readouterr()
    (folder,) = (p.parent for p in out.glob("*/checkpoints"))
    assert recipe("evaluate", f"checkpoint={folder}") == 0
    assert "reward/agent_step" in capsys.readouterr().out


@pytest.mark.parametrize("name", RECIPES)
def test_the_papers_preset(name, recipe, capsys):
    """Table 1 for everybody: keys that a recipe does not have are left out."""
    assert recipe(name, "preset=paper", "--cfg") == 0
    page = capsys.readouterr().out
    assert "lr: 8.0e-05" in page
    assert "n_obstacles: 3" in page


def test_a_random_policy_is_evaluated_without_a_checkpoint(recipe, tmp_path, capsys):
    """The mean of a random team's reward, twice the same; and whose policy there is none of is refused."""
    pages = []
    for _ in range(2):
        assert (
            recipe(
                "evaluate", "policy=random", "env.n_agents=4", "env.horizon=10", f"out={tmp_path}"
            )
            == 0
        )
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert "reward/agent_step" in pages[0]
    assert (tmp_path / "random-encircle-episode.png").exists()
    for arguments, word in ((("policy=nobody",), "nobody"), ((), "checkpoint=PATH")):
        assert recipe("evaluate", *arguments) == 2
        assert word in capsys.readouterr().err


def test_random_actions_are_uniform_among_the_possible():
    actor = RandomActor(3, masked=True)
    mask = torch.tensor([True, False, True]).expand(4000, 2, 3)
    td = TensorDict(
        {"agents": {"observation": torch.randn(4000, 2, 5), "action_mask": mask}}, [4000]
    )
    action = actor(td)["agents", "action"]
    assert set(action.unique().tolist()) == {0, 2}
    assert (action == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.allclose(td["agents", "action_log_prob"], torch.tensor(0.5).log())


@pytest.mark.parametrize(
    ("name", "argument", "words"),
    [
        ("mappo", "algorithm.critic=centre", ("algorithm.critic='centre'", "central")),
        ("ippo", "algorithm.critic=global", ("algorithm.critic='global'", "observation")),
        ("prd", "algorithm.threshold=0", ("threshold=0", "(0, 1]")),
        ("coma", "algorithm.tau=1", ("unknown key 'algorithm.tau'",)),
    ],
)
def test_mistakes(name, argument, words, recipe, out, capsys):
    assert recipe(name, *TINY, f"out={out}", argument) == 2
    error = capsys.readouterr().err
    assert all(w in error for w in words), error
