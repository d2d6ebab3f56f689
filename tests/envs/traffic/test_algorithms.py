"""Every algorithm trains on traffic signals."""

import math

import pytest

from traffic_helpers import SMALL, checkpoint_of, rows_of

ON_POLICY = SMALL
OFF_POLICY = (
    *(a for a in SMALL if not a.startswith(("algorithm.epochs", "algorithm.minibatches"))),
    "algorithm.updates=4",
    "algorithm.batch_size=16",
    "algorithm.warmup=20",
)
ALGORITHMS = {
    "ilvf_p": ("ilvf_p", *ON_POLICY),
    "no_inferring": ("no_inferring", *ON_POLICY),
    "mappo": ("mappo", *ON_POLICY),
    "mappo, central": ("mappo", *ON_POLICY, "algorithm.critic=central"),
    "ippo": ("ippo", *ON_POLICY),
    "ippo, state": ("ippo", *ON_POLICY, "algorithm.critic=state"),
    "coma": ("coma", *ON_POLICY),
    "prd": ("prd", *ON_POLICY),
    "qmix": ("qmix", *OFF_POLICY),
    "vdn": ("qmix", *OFF_POLICY, "algorithm.mixer=vdn"),
    "maddpg": ("maddpg", *OFF_POLICY),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ALGORITHMS.values(), ids=ALGORITHMS)
def test_every_algorithm(command, crossing, out, recipe):
    """Signals have different phases and links; all metrics are finite, and episodes are whole."""
    assert recipe(*command, *crossing, "trainer.logger=none", f"out={out}") == 0
    first, last = rows_of(out)
    assert last["frames"] - first["frames"] == 20
    assert last["eval/episode/length"] == 10
    assert last["eval/return/team"] < 0
    assert last["eval/episode/throughput"] + last["eval/episode/running"] > 0
    for row in (first, last):
        assert all(math.isfinite(value) for value in row.values())
    checkpoint_of(out, "best")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("ilvf_p", *ON_POLICY), ("maddpg", *OFF_POLICY)],
    ids=["ilvf_p", "maddpg"],
)
def test_large_grid(command, out, recipe):
    settings = ("env=large_grid", "env.seconds=50", "trainer.max_epochs=1", f"out={out}")
    assert recipe(*command, *settings) == 0
    assert rows_of(out)[-1]["eval/episode/length"] == 10


@pytest.mark.parametrize("name", ["ilvf_p", "qmix"])
def test_preset_suits_both_kinds_of_algorithms(name, recipe, capsys):
    """It has few simulators."""
    assert recipe(name, "env=large_grid", "preset=traffic", "--cfg") == 0
    page = capsys.readouterr().out
    for word in ("num_envs: 4", "eval_episodes: 4", "rollout_steps: 180", "input_norm: none"):
        assert word in page


def test_evaluation_of_a_rule(crossing, recipe, tmp_path, capsys):
    """It prints metrics and draws an episode."""
    size = ("algorithm.eval_episodes=2", f"out={tmp_path}")
    assert recipe("evaluate", "policy=max_pressure", *crossing, *size) == 0
    page = capsys.readouterr().out
    for name in ("queue", "speed", "travel_time", "throughput", "teleports"):
        assert f"episode/{name}" in page
    (picture,) = tmp_path.glob("max_pressure*-episode.png")
    assert picture.stat().st_size > 5000
