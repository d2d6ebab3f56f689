"""The comparison with BenchMARL: our side in small, the shared evaluation, the report."""

import importlib
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
MODULES = ("tasks", "evaluation", "records", "ours", "report")
SMALL = {"epochs": 2, "minibatches": 2, "hidden": 8, "iterations": 2, "eval_every": 2}
FORMS = ("ilvf", "ilvf-central", "ilvf-plain")


class Comparison:
    """The modules of the comparison."""

    def __init__(self):
        for name in MODULES:
            setattr(self, name, importlib.import_module(name))


@pytest.fixture
def comparison(monkeypatch):
    """The comparison's modules, imported as its scripts import them, with small tasks."""
    monkeypatch.syspath_prepend(str(FOLDER))
    modules = Comparison()
    for name, task in modules.tasks.TASKS.items():
        small = replace(task, num_envs=4, rollout_steps=10)
        monkeypatch.setitem(modules.tasks.TASKS, name, small)
    return modules


def write_runs(comparison, out, task, form, finals):
    """A run for each seed whose final return is given: ten evaluations, 50 frames per CPU second.

    The last two evaluations are the final return minus and plus one.
    """
    for seed, value in enumerate(finals):
        returns = [0.0] * 8 + [value - 1, value + 1]
        rows = [(100 * k, r, 2.0 * k) for k, r in enumerate(returns)]
        path = comparison.records.csv_of(out, task, form, seed)
        comparison.records.write_csv(path, rows)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task", ["simple_spread", "balance"])
def test_our_side_trains(comparison, task, form):
    settings = comparison.tasks.Settings(**SMALL)
    rows = comparison.ours.run(task, 3, form, settings, episodes=5)
    (start, before, no_time), (end, after, seconds) = rows
    assert (start, end) == (0, 80)
    assert before != after  # the policy has changed
    assert 0 == no_time < seconds


@pytest.mark.parametrize("form", FORMS)
def test_our_side_uses_the_shared_settings(comparison, form):
    settings = comparison.tasks.Settings(**SMALL, lr=0.02, gamma=0.8, lmbda=0.7, clip=0.3)
    made = comparison.ours.algorithm("balance", 3, form, settings)
    inner = getattr(made.advantage, "estimator", made.advantage).inner
    assert made.options.lr == 0.02
    assert made.loss.clip == 0.3
    assert (float(inner.gamma), float(inner.lmbda)) == pytest.approx((0.8, 0.7))
    assert len(made.loss.actor.net.first.weight) == 1  # one network for all agents
    assert type(made.loss.critic) is (CentralCritic if form == "ilvf-central" else StateCritic)
    plain = form == "ilvf-plain"
    assert (made.loss.value_norm is None) is plain
    assert (made.loss.value_clip is None) is plain


def test_the_plain_value_loss_is_the_squared_error(comparison):
    made = comparison.ours.algorithm("balance", 3, "ilvf-plain", comparison.tasks.Settings(**SMALL))
    env = comparison.ours.environment("balance", 4, 0)
    rollout = env.rollout(5, made.loss.actor).detach()
    made.advantage(rollout)
    batch = rollout.reshape(-1)
    value, _ = made.loss.critic.predict(batch["agents", "observation"], batch["agents", "action"])
    error = value - batch["agents", "value_target"]
    expected = (error**2).mean(0).sum()
    torch.testing.assert_close(made.loss(batch)["loss_value"], expected)


def start_copies_like_the_evaluation(env, seed):
    """Seed each copy of a PettingZoo environment as the evaluation does."""
    for k, world in enumerate(env.copies.envs):
        world.reset = lambda seed=None, start=seed + k, reset=world.reset: reset(seed=start)


@pytest.mark.parametrize("task", ["simple_spread", "balance"])
def test_the_evaluation_gives_the_returns_of_a_rollout(comparison, task):
    """With fixed actions, its returns are those of TorchRL's rollout from the same starts."""
    evaluation = comparison.evaluation.Evaluation(task, 0, episodes=6)
    action = 2 if task == "simple_spread" else 4
    found = torch.tensor(evaluation(lambda o: torch.full(o.shape[:-1], action)))
    env = comparison.ours.environment(task, 6, evaluation.seed)
    if task == "simple_spread":
        start_copies_like_the_evaluation(env, evaluation.seed)
    horizon = comparison.tasks.TASKS[task].horizon

    def play(td):
        return td.set(("agents", "action"), torch.full((6, 3), action))

    rollout = env.rollout(horizon, play, break_when_any_done=False)
    first = (rollout["next", "done"].cumsum(1) - rollout["next", "done"].int()) == 0
    reward = rollout["next", "agents", "reward"].sum(-2) * first
    torch.testing.assert_close(found, reward.sum((1, 2)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("task", ["simple_spread", "balance"])
def test_the_evaluation_does_not_change_random_numbers(comparison, task):
    evaluation = comparison.evaluation.Evaluation(task, 0, episodes=6)

    def draw(evaluate):
        torch.manual_seed(1)
        env = comparison.ours.environment(task, 2, 1)
        if evaluate:
            evaluation(comparison.evaluation.uniform(task))
        return env.reset()["agents", "observation"], torch.rand(2)

    observation, number = draw(evaluate=False)
    same_observation, same_number = draw(evaluate=True)
    assert torch.equal(observation, same_observation)
    assert torch.equal(number, same_number)


@pytest.fixture
def table(comparison, tmp_path, monkeypatch):
    """(the report's table, its text) for made-up runs; the picture is tmp_path / picture.png."""
    tasks = ["balance", "simple_spread"]
    monkeypatch.setattr(comparison.report, "EPISODES", 10)
    write_runs(comparison, tmp_path, "balance", "benchmarl", [10.0, 12.0, 11.0])
    write_runs(comparison, tmp_path, "balance", "ilvf", [20.0, 22.0, 21.0])
    write_runs(comparison, tmp_path, "balance", "ilvf-plain", [9.0, 12.0, 13.0])
    write_runs(comparison, tmp_path, "simple_spread", "benchmarl", [10.0, 12.0, 11.0])
    write_runs(comparison, tmp_path, "simple_spread", "ilvf", [1.0, 2.0, 1.5])
    for name in tasks:
        (tmp_path / f"{name}.ilvf.random.json").write_text("[1.0, 2.0]")
    text = comparison.report.report(tmp_path, tmp_path / "picture.png", tasks)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return pd.DataFrame(cells[2:], columns=cells[0]).set_index(["task", "MAPPO of"]), text


def test_the_report_says_better_worse_and_no_difference(table):
    rows, _ = table
    assert rows.loc["balance", "verdict"].tolist() == ["", "better", "no difference"]
    assert rows.loc["simple_spread", "verdict"].tolist() == ["", "worse"]


def test_the_report_gives_returns_intervals_and_speed(table, tmp_path):
    rows, text = table
    assert rows.loc[("balance", "ilvf"), "final return of every seed"] == "20.0, 22.0, 21.0"
    test = stats.ttest_ind([9, 12, 13], [10, 12, 11], equal_var=False)
    low, high = test.confidence_interval()
    shown = rows.loc[("balance", "ilvf, plain"), "ours − theirs, 95 %"]
    assert shown == f"+0.3 [{low:+.1f}, {high:+.1f}]"
    assert rows.loc[("balance", "ilvf"), "frames per CPU s"] == "50"
    assert "environments of ilvf 1.5" in text
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_a_finished_run_is_not_repeated(comparison, tmp_path, monkeypatch):
    write_runs(comparison, tmp_path, "balance", "ilvf", [5.0])
    command = ["ours.py", "--tasks", "balance", "--seeds", "0", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    ran = []

    def run(task, seed, form):
        ran.append((task, seed, form))
        return [(0, 1.0, 0.0), (50, 2.0, 1.0)]

    def make_env(task, num_envs, seed):
        return comparison.ours.environment(task, 3, seed)

    comparison.records.command_line("", run, ("ilvf",), make_env)
    assert ran == [("balance", 1, "ilvf")]
    assert comparison.records.csv_of(tmp_path, "balance", "ilvf", 1).exists()


def test_runs_with_different_evaluations_are_refused(comparison, tmp_path):
    write_runs(comparison, tmp_path, "balance", "ilvf", [5.0])
    path = comparison.records.csv_of(tmp_path, "balance", "ilvf", 1)
    comparison.records.write_csv(path, [(0, 1.0, 0.0), (50, 2.0, 1.0)])
    with pytest.raises(SystemExit, match="different frames"):
        comparison.report.read(tmp_path, "balance")
