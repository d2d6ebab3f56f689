"""The command `influence`: moments of an episode, curves, pictures, and what it refuses."""

import pytest
import torch

from helpers import TINY
from ilvf.analysis import lower_share, states_at
from ilvf.envs import CACC, Encircle
from ilvf.envs.cacc.rules import Constant
from ilvf.modules import CategoricalActor
from run_helpers import only_run


def test_the_share_of_weights_below_the_diagonal():
    """Here 3 below and 1 above; the diagonal does not count."""
    weight = torch.tensor([[9.0, 1.0, 0.0], [1.0, 9.0, 0.0], [0.0, 2.0, 9.0]])
    assert lower_share(weight).item() == pytest.approx(3 / 4)
    assert lower_share(weight.T).item() == pytest.approx(1 / 4)
    assert lower_share(torch.rand(5, 4, 4)).shape == (5,)


# ---------------------------------------------------------------------- states of an episode
def encircle():
    return Encircle(4, num_envs=3, seed=1, horizon=10)


def test_states_are_those_of_a_rollout_of_the_policy():
    env = encircle()
    actor = CategoricalActor(4, env.observation_dim, env.n_actions, hidden=8)
    found = states_at(env, actor, [0, 3], seed=5)
    assert (found[0]["step"] == 0).all()
    assert (found[3]["step"] == 3).all()
    again = states_at(encircle(), actor, [3], seed=5)
    assert torch.equal(found[3]["position"], again[3]["position"])
    assert not torch.equal(found[3]["position"], found[0]["position"])


class LastAction(Constant):
    """Almost certainly takes the last of four actions."""

    def log_probs(self, state):
        return torch.tensor([-50.0, -50.0, -50.0, 0.0]).expand(*state.shape[:-1], 4)


def let_collide(world, rows):
    """Platoons of these rows collide in their first steps."""
    world["headway"][rows] = 1.2
    world["speed"][rows] = torch.linspace(5, 30, 8)


def test_states_after_the_end_of_the_first_episode_do_not_count(refused):
    """Two of four platoons collide at once; their episodes are over long before step 10."""
    env = CACC("slow-down", num_envs=4, collision_rule="stop", horizon=20, ratio=[1.6, 2.4], seed=0)
    world = env.platoon(torch.full((4, 8), 20.0), torch.full((4, 8), 24.0))
    let_collide(world, slice(0, None, 2))
    env.set_state({**world, "rng": env.rng.get_state()})
    found = states_at(env, LastAction(), [0, 10])
    assert len(found[0]["headway"]) == 4
    assert len(found[10]["headway"]) == 2
    assert (found[10]["time"] == 10).all()
    let_collide(world, slice(1, None, 2))
    env.set_state({**world, "rng": env.rng.get_state()})
    with refused("no episode lasts to step 10"):
        states_at(env, LastAction(), [10])


# ---------------------------------------------------------------------- the command
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ilvf_p", "prd", "no_inferring"])
def test_report_and_pictures(name, recipe, out, capsys):
    assert recipe(name, *TINY, f"out={out}") == 0
    run = only_run(out)
    measured = name == "ilvf_p"
    options = (
        "influence.episodes=3",
        "influence.actions=2",
        "influence.repeats=2",
        "influence.moments=0,0.5,1",
        f"influence.measure={str(measured).lower()}",
    )
    capsys.readouterr()
    assert recipe("influence", f"checkpoint={run}", *options) == 0
    page = capsys.readouterr().out
    found = torch.load(run / "influence" / "influence.pt", weights_only=True)
    assert list(found["moments"]) == [0.0, 0.5, 1.0]
    assert all(len(curve) == 10 for curve in found["curves"].values())
    assert ("significant pairs" in page) == measured
    assert bool(found["measured"]) == measured
    weight = found["moments"][0.5]["weight"]
    mean = weight[~torch.eye(4, dtype=torch.bool)].mean()
    assert torch.allclose(found["curves"]["mean of w off the diagonal"][5], mean, atol=1e-6)
    assert (run / "influence" / "matrices.png").stat().st_size > 10_000
    assert (run / "influence" / "curves.png").exists()


def test_bad_arguments(recipe, out, capsys):
    assert recipe("mappo", *TINY, f"out={out}") == 0
    run = f"checkpoint={only_run(out)}"
    refusals = {
        (run,): ("no learned influence",),
        (run, "influence.moments=early"): ("influence.moments='early'", "0.2,0.5,0.95"),
        (run, "influence.moments=0.5,2"): ("in [0, 1]",),
        (run, "influence.episodes=1"): ("influence.episodes=1",),
        (): ("checkpoint=PATH",),
    }
    for arguments, words in refusals.items():
        capsys.readouterr()
        assert recipe("influence", *arguments) == 2
        error = capsys.readouterr().err
        assert all(word in error for word in words), error


@pytest.mark.slow
def test_a_team_of_one_has_no_influence_to_report(out, recipe, capsys):
    words = ("env=cacc", "env.n_agents=1", "trainer.max_epochs=1")
    small = [word for word in TINY if not word.startswith(("env.", "trainer.max_epochs"))]
    assert recipe("ilvf_p", *small, *words, f"out={out}") == 0
    for command in ("audit", "influence"):
        assert recipe(command, "checkpoint=last", f"out={out}") == 2
        assert "is of a team of one agent" in capsys.readouterr().err
