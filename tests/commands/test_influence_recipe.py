"""Influence over an episode: the moments, the curves, the pictures, and what is refused."""

import pytest
import torch

from helpers import TINY
from ilvf.analysis import lower_share, states_at
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor


def test_the_share_below_the_diagonal():
    """Below: 1 + 2 = 3, above: 1; the diagonal does not count."""
    w = torch.tensor([[9.0, 1.0, 0.0], [1.0, 9.0, 0.0], [0.0, 2.0, 9.0]])
    assert lower_share(w).item() == pytest.approx(3 / 4)
    assert lower_share(w.T).item() == pytest.approx(1 / 4)
    assert lower_share(torch.rand(5, 4, 4)).shape == (5,)


def test_states_at_are_those_of_the_rollout():
    """After 0 steps the start, after 3 the state that three steps of the same policy lead to."""
    env = Encircle(4, num_envs=3, seed=1, horizon=10)
    actor = CategoricalActor(4, env.observation_dim, env.n_actions, hidden=8)
    found = states_at(env, actor, [0, 3], seed=5)
    assert (found[0]["step"] == 0).all()
    assert (found[3]["step"] == 3).all()
    again = states_at(Encircle(4, num_envs=3, seed=1, horizon=10), actor, [3], seed=5)
    assert torch.equal(found[3]["position"], again[3]["position"])
    assert not torch.equal(found[3]["position"], found[0]["position"])


@pytest.mark.parametrize("name", ["ilvf_p", "prd", "no_inferring"])
def test_report_and_pictures(name, recipe, out, capsys):
    assert recipe(name, *TINY, f"out={out}") == 0
    small = (
        "influence.episodes=3",
        "influence.actions=2",
        "influence.repeats=2",
        "influence.moments=0,0.5,1",
    )
    measure = f"influence.measure={'true' if name == 'ilvf_p' else 'false'}"
    (folder,) = (p.parent for p in out.glob("*/checkpoints"))
    assert recipe("influence", f"checkpoint={folder}", *small, measure) == 0
    page = capsys.readouterr().out
    found = torch.load(folder / "influence" / "influence.pt", weights_only=True)
    assert list(found["moments"]) == [0.0, 0.5, 1.0]
    assert all(len(v) == 10 for v in found["curves"].values())
    assert ("significant pairs" in page) == (name == "ilvf_p") == bool(found["measured"])
    mean = found["curves"]["mean of w off the diagonal"]
    assert torch.allclose(
        mean[5], found["moments"][0.5]["weight"][~torch.eye(4, dtype=torch.bool)].mean(), atol=1e-6
    )
    assert (folder / "influence" / "matrices.png").stat().st_size > 10_000
    assert (folder / "influence" / "curves.png").exists()


def test_mistakes(recipe, out, capsys):
    assert recipe("mappo", *TINY, f"out={out}") == 0
    (folder,) = (p.parent for p in out.glob("*/checkpoints"))
    for arguments, words in (
        ((f"checkpoint={folder}",), ("no learned influence",)),
        (
            (f"checkpoint={folder}", "influence.moments=early"),
            ("influence.moments='early'", "0.2,0.5,0.95"),
        ),
        ((f"checkpoint={folder}", "influence.moments=0.5,2"), ("in [0, 1]",)),
        ((f"checkpoint={folder}", "influence.episodes=1"), ("influence.episodes=1",)),
        ((), ("checkpoint=PATH",)),
    ):
        capsys.readouterr()
        assert recipe("influence", *arguments) == 2
        error = capsys.readouterr().err
        assert all(w in error for w in words), error


def test_only_first_episodes_count(refused):
    """Four of platoons that collide at once are over after their collision; who begins anew is not looked at."""
    from ilvf.envs import CACC
    from ilvf.envs.cacc.rules import Constant

    env = CACC("slow-down", num_envs=4, collision_rule="stop", horizon=20, ratio=[1.6, 2.4], seed=0)
    world = env.platoon(torch.full((4, 8), 20.0), torch.full((4, 8), 24.0))
    world["headway"][::2] = 1.2  # two collide in their first steps
    world["speed"][::2] = torch.linspace(5, 30, 8)

    class Certain(Constant):
        def log_probs(self, state):
            return torch.tensor([-50.0, -50.0, -50.0, 0.0]).expand(*state.shape[:-1], 4)

    env.set_state({**world, "rng": env.rng.get_state()})
    found = states_at(env, Certain(), [0, 10])
    assert len(found[0]["headway"]) == 4
    assert len(found[10]["headway"]) == 2
    assert (found[10]["time"] == 10).all()
    world["speed"][1::2] = torch.linspace(5, 30, 8)
    world["headway"][1::2] = 1.2
    env.set_state({**world, "rng": env.rng.get_state()})
    with refused("no episode lasts to step 10"):
        states_at(env, Certain(), [10])
