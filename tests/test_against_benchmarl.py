"""The comparison with BenchMARL: our side at toy size, its ruler, its arithmetic."""

import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from scipy import stats

from helpers import ROOT
from ilvf.modules import CentralCritic, StateCritic

pytest.importorskip("mpe2")
pytest.importorskip("vmas")
FOLDER = ROOT / "benchmarks" / "against_benchmarl"
SMALL = dict(epochs=2, minibatches=2, hidden=8, iterations=2, eval_every=2)


@pytest.fixture
def side(monkeypatch):
    """Modules of the comparison, imported as its scripts import them; small tasks."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import ours
    import report
    import tasks

    for name, task in tasks.TASKS.items():
        monkeypatch.setitem(tasks.TASKS, name, replace(task, num_envs=4, rollout_steps=10))
    return tasks, ours, report


def made_up(tasks, out, task, side, finals):
    for seed, value in enumerate(finals):
        returns = [0.0] * 8 + [value - 1, value + 1]
        rows = [(100 * k, r, 2.0 * k) for k, r in enumerate(returns)]
        tasks.write_csv(tasks.csv_of(out, task, side, seed), rows)


@pytest.mark.parametrize("form", ["ilvf", "ilvf-central", "ilvf-plain"])
@pytest.mark.parametrize("task", ["simple_spread", "balance"])
def test_our_side_runs_and_uses_the_shared_settings(side, task, form):
    tasks, ours, _ = side
    s = tasks.Settings(**SMALL, lr=0.02, gamma=0.8, lmbda=0.7, clip=0.3)
    rows = ours.run(task, 3, form, s, episodes=5)
    assert [r[0] for r in rows] == [0, 80]
    assert rows[0][1] != rows[1][1]  # it has learned something, good or bad
    assert 0 == rows[0][2] < rows[1][2]
    made = ours.algorithm(task, 3, form, s)
    inner = getattr(made.advantage, "estimator", made.advantage).inner
    assert (made.lr, made.loss.clip, float(inner.gamma), float(inner.lmbda)) == pytest.approx(
        (0.02, 0.3, 0.8, 0.7)
    )
    assert len(made.loss.actor.net.first.weight) == 1  # shared
    assert type(made.loss.critic) is (CentralCritic if form == "ilvf-central" else StateCritic)
    assert (
        (made.loss.value_norm is None) == (made.loss.value_clip is None) == (form == "ilvf-plain")
    )


@pytest.mark.parametrize("task", ["simple_spread", "balance"])
def test_the_ruler_agrees_with_the_environments_and_leaves_no_trace(side, task):
    """Fixed actions: the same returns from the evaluation as from TorchRL's rollout over the same starts."""
    tasks, ours, _ = side
    evaluation = tasks.Evaluation(task, 0, episodes=6)
    action = 2 if task == "simple_spread" else 4
    found = torch.tensor(evaluation(lambda o: torch.full(o.shape[:-1], action)))
    env = ours.environment(task, 6, evaluation.seed)
    if task == "simple_spread":  # copies there are seeded farther apart
        for k, world in enumerate(env.copies.envs):
            world.reset = lambda seed=None, k=k, reset=world.reset: reset(seed=evaluation.seed + k)
    play = lambda td: td.set(("agents", "action"), torch.full((6, 3), action))
    rollout = env.rollout(tasks.TASKS[task].horizon, play, break_when_any_done=False)
    first = (rollout["next", "done"].cumsum(1) - rollout["next", "done"].int()) == 0
    reward = rollout["next", "agents", "reward"].sum(-2) * first
    torch.testing.assert_close(found, reward.sum((1, 2)), rtol=1e-4, atol=1e-3)
    draws = []
    for disturb in (False, True):
        torch.manual_seed(1)
        env = ours.environment(task, 2, 1)
        if disturb:
            evaluation(tasks.uniform(task))
        draws.append((env.reset()["agents", "observation"], torch.rand(2)))
    assert all(torch.equal(a, b) for a, b in zip(*draws, strict=True))


def test_the_report_says_better_worse_and_no_difference(side, tmp_path, monkeypatch):
    tasks, _, report = side
    monkeypatch.setattr(report, "EPISODES", 10)
    theirs = [10.0, 12.0, 11.0]
    made_up(tasks, tmp_path, "balance", "benchmarl", theirs)
    made_up(tasks, tmp_path, "balance", "ilvf", [20.0, 22.0, 21.0])
    made_up(tasks, tmp_path, "balance", "ilvf-plain", [9.0, 12.0, 13.0])
    made_up(tasks, tmp_path, "simple_spread", "benchmarl", theirs)
    made_up(tasks, tmp_path, "simple_spread", "ilvf", [1.0, 2.0, 1.5])
    for name in ("balance", "simple_spread"):
        (tmp_path / f"{name}.ilvf.random.json").write_text("[1.0, 2.0]")
    text = report.report(tmp_path, tmp_path / "picture.png", ["balance", "simple_spread"])
    cells = [
        [c.strip() for c in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    table = pd.DataFrame(cells[2:], columns=cells[0]).set_index(["task", "MAPPO of"])
    assert table.loc["balance", "verdict"].tolist() == ["", "better", "no difference"]
    assert table.loc["simple_spread", "verdict"].tolist() == ["", "worse"]
    assert table.loc[("balance", "ilvf"), "final return of every seed"] == "20.0, 22.0, 21.0"
    low, high = stats.ttest_ind([9, 12, 13], theirs, equal_var=False).confidence_interval()
    assert (
        table.loc[("balance", "ilvf, plain"), "ours − theirs, 95 %"]
        == f"+0.3 [{low:+.1f}, {high:+.1f}]"
    )
    assert table.loc[("balance", "ilvf"), "frames per CPU s"] == "50"
    assert (tmp_path / "picture.png").stat().st_size > 5000
    assert "environments of ilvf 1.5" in text


def test_a_finished_run_is_kept_and_mixed_settings_are_refused(side, tmp_path, monkeypatch):
    tasks, ours, report = side
    made_up(tasks, tmp_path, "balance", "ilvf", [5.0])
    ran = []
    monkeypatch.setattr(
        sys, "argv", ["ours.py", "--tasks", "balance", "--seeds", "0", "1", "--out", str(tmp_path)]
    )

    def run(task, seed, form):
        ran.append((task, seed, form))
        return [(0, 1.0, 0.0), (50, 2.0, 1.0)]

    tasks.command_line("", run, ("ilvf",), lambda *_: ours.environment("balance", 3, 0))
    assert ran == [("balance", 1, "ilvf")]
    with pytest.raises(SystemExit, match="different frames"):
        report.read(tmp_path, "balance")
