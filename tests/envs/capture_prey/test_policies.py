"""The rule `seek`, action masks, and algorithms that respect them."""

import pytest
from PIL import Image

import ilvf
from helpers import TINY
from ilvf.envs import CapturePrey
from prey_helpers import CAPTURE

TINY_PREY = (
    *(argument for argument in TINY if not argument.startswith("env.n_agents")),
    "env=capture_prey",
    "env.dim=5",
    "env.n_perception=2",
)
ON_POLICY = ("algorithm.epochs=", "algorithm.minibatches=")
TINY_PREY_OFF_POLICY = (
    *(argument for argument in TINY_PREY if not argument.startswith(ON_POLICY)),
    "algorithm.updates=3",
    "algorithm.batch_size=16",
    "algorithm.warmup=50",
    "algorithm.capacity=120",
)


@pytest.mark.parametrize("options", [{}, dict(n_prey=3), dict(mode="competitive")])
def test_seek_captures_fixed_prey_in_19_steps(options):
    """2 · 9 steps to the farthest corner, and one to capture."""
    assert success_of_seek(19, **options) == 1


def test_seek_captures_most_moving_prey_in_80_steps():
    assert success_of_seek(80, prey_policy="random") >= 0.97


def success_of_seek(steps, **options):
    """Share of 200 first episodes that succeed. Seek reads states, so windows can be small."""
    env = CapturePrey(num_envs=200, vision=0, graph="none", seed=0, **options)
    rollout = env.rollout(steps, env.rules["seek"](), break_when_any_done=False)
    success = rollout["next", "episode", "success"]
    return success.amax(1).mean()


@pytest.mark.slow
def test_seek_is_evaluated_by_name(recipe, tmp_path, capsys):
    arguments = ("policy=seek", "env=capture_prey", "algorithm.eval_episodes=8", f"out={tmp_path}")
    assert recipe("evaluate", *arguments) == 0
    page = capsys.readouterr().out
    assert float(page.partition("episode/success")[2].split()[0]) == 1
    assert {path.name for path in tmp_path.iterdir()} >= {
        "seek-capture_prey-episode.png",
        "seek-capture_prey-episode.gif",
    }


def test_only_action_agents_can_capture():
    env = CapturePrey(3, 2, num_envs=2, seed=0)
    mask = env.reset()["agents", "action_mask"]
    assert mask[..., :CAPTURE].all()
    assert mask[..., CAPTURE].tolist() == [[False] * 3 + [True] * 2] * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ilvf_p", "mappo", "coma", "qmix", "maddpg"])
def test_algorithms_respect_the_mask(name, recipe, out):
    """After a short run action agents do capture, and perception agents never do."""
    off_policy = name in ("qmix", "maddpg")
    arguments = TINY_PREY_OFF_POLICY if off_policy else TINY_PREY
    pictures = ("trainer.pictures=true", "trainer.animation=true", "trainer.logger=none")
    assert recipe(name, *arguments, *pictures, f"out={out}") == 0
    (folder,) = (path.parent for path in out.glob("*/checkpoints"))
    assert len(list(folder.glob("pictures/episode-*.png"))) == 1
    with Image.open(*folder.glob("pictures/episode-*.gif")) as animation:
        assert animation.n_frames == 11
    policy = ilvf.load_policy(next(folder.glob("checkpoints/best*.ckpt")))
    actor = getattr(policy, "actor", policy)
    if hasattr(actor, "epsilon"):
        actor.epsilon.fill_(0.5)
    env = CapturePrey(2, 4, 5, num_envs=400, seed=0)
    captures = env.rollout(3, actor)["agents", "action"] == CAPTURE
    assert not captures[:, :, :2].any()
    assert captures[:, :, 2:].any()
