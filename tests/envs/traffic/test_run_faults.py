"""Runs whose simulators, workers or whole process are killed."""

import os
import signal
import subprocess
import sys
from contextlib import closing

import psutil
import pytest
import torch

from helpers import ROOT
from ilvf.data.evaluation import EVALUATION_SEED, evaluate
from ilvf.envs import make_env
from ilvf.envs.pettingzoo.copies import SEED_STRIDE
from ilvf.envs.pettingzoo.workers import WorkerCopies
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.modules import RandomActor
from traffic_helpers import SMALL, checkpoint_of, end_soon, mlflow_runs, rows_of


def family_of(pid):
    """The process and all processes below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


# ---------------------------------------------------------------------- a simulator
@pytest.fixture
def kill(monkeypatch):
    """kill(29) kills the simulator that takes the 29th step of all.

    Steps of training are counted, or those of evaluations.
    """
    begin_step = SumoTrafficEnv.begin_step
    evaluation_seeds = (EVALUATION_SEED, EVALUATION_SEED + SEED_STRIDE)

    def install(*when, evaluation=False):
        count = 0

        def step(self, actions):
            nonlocal count
            if (self.episodes.seed in evaluation_seeds) == evaluation:
                count += 1
                if count in when:
                    os.kill(self.simulation.pid, signal.SIGKILL)
            begin_step(self, actions)

        monkeypatch.setattr(SumoTrafficEnv, "begin_step", step)

    return install


@pytest.mark.slow
def test_simulator_killed_in_training(crossing, out, recipe, kill):
    """Its episode is not counted and the run goes on.

    Step 20 + 9 is the fifth of copy 0 in its second episode.
    """
    kill(29)
    cause = "SIGKILL.* after step 4 of the episode with seed 1000000007 in copy 0, which ends there"
    settings = ("trainer.max_epochs=3", "algorithm.eval_every=9", f"out={out}")
    with pytest.warns(UserWarning, match=cause):
        assert recipe("ilvf_p", *SMALL, *crossing, *settings) == 0
    assert mlflow_runs(out) == [("FINISHED", [20, 40, 60])]
    rows = rows_of(out)
    assert [row["episode/interrupted"] for row in rows] == [0, 0.5, 0]
    assert [row["episode/length"] for row in rows] == [10, 10, 10]


@pytest.mark.slow
def test_evaluation_that_lost_all_simulators_is_never_the_best(crossing, out, recipe, kill):
    """The second of three, in its third step: two steps of queues look better than ten."""
    kill(20 + 5, 20 + 6, evaluation=True)
    settings = ("trainer.max_epochs=3", "algorithm.eval_every=1", f"out={out}")
    cause = "2 of 2 evaluation episodes were interrupted.*no return to report"
    with pytest.warns(UserWarning, match=cause):
        assert recipe("ilvf_p", *SMALL, *crossing, *settings) == 0
    rows = rows_of(out)
    assert [row["eval/episode/interrupted"] for row in rows] == [0, 1, 0]
    assert [row.get("eval/episode/length") for row in rows] == [10, None, 10]
    assert "eval/return/team" not in rows[1]
    assert "eval/reward/agent_step" not in rows[1]
    best = max((rows[0], rows[2]), key=lambda row: row["eval/return/team"])
    assert checkpoint_of(out, "best")["ilvf"]["state"]["frames"] == best["frames"]


@pytest.mark.slow
def test_without_a_whole_evaluation_there_is_no_best_checkpoint(crossing, out, recipe, kill):
    """The last checkpoint is used instead."""
    kill(5, 6, evaluation=True)
    with pytest.warns(UserWarning, match="2 of 2 evaluation episodes"):
        assert recipe("ilvf_p", *SMALL, *crossing, f"out={out}") == 0
    assert not list(out.glob("*/checkpoints/best.ckpt"))
    (folder,) = out.glob("ilvf_p-*")
    settings = ("algorithm.eval_episodes=2", f"out={out}")
    assert recipe("evaluate", f"checkpoint={folder}", *settings) == 0


def test_interrupted_episode_is_left_out_of_the_means(crossing_files, kill):
    """Of two the second is lost in its third step, so the means are those of the first."""
    net, routes = map(str, crossing_files)
    kill(6)
    torch.manual_seed(0)
    with closing(
        make_env("sumo", net_file=net, routes=routes, seconds=50, num_envs=2, seed=0)
    ) as env:
        policy = RandomActor(env.n_actions, masked=True)
        with pytest.warns(UserWarning, match="1 of 2 evaluation episodes were interrupted"):
            metrics, rollout = evaluate(env, policy, max_steps=10)
    reward = rollout["next", "agents", "reward"][0]
    last = rollout["next", "episode"][0, -1]
    assert metrics["return/team"] == pytest.approx(float(reward.sum()))
    assert metrics["reward/agent_step"] == pytest.approx(float(reward.mean()))
    assert metrics["episode/queue"] == pytest.approx(float(last["queue"]))
    assert metrics["episode/length"] == 10
    assert metrics["episode/interrupted"] == 0.5


# ---------------------------------------------------------------------- a worker
@pytest.mark.slow
def test_run_resumes_after_a_killed_worker(crossing, out, recipe, monkeypatch, capsys):
    """One sentence and exit code 2, and no process is left. Then new episodes in the same run."""
    running = []
    seeds = []
    step = WorkerCopies.step
    reset = WorkerCopies.reset

    def killed_step(self, action):
        if self.steps == 24 and not running:  # in the third iteration
            running.extend(family_of(self.workers[0].process.pid))
            running[0].kill()
        return step(self, action)

    def noted_reset(self, given):
        seeds.extend(seed for seed in given.values() if seed is not None)
        return reset(self, given)

    monkeypatch.setattr(WorkerCopies, "step", killed_step)
    monkeypatch.setattr(WorkerCopies, "reset", noted_reset)
    settings = ("trainer.max_epochs=3", "algorithm.eval_every=9", f"out={out}")
    assert recipe("ilvf_p", *SMALL, *crossing, "env.workers=1", *settings) == 2
    *notes, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: worker 0 (copies 0 to 1) was killed by SIGKILL in step 25")
    assert "resume=last" in error
    assert all("is given twice" in note for note in notes)
    assert len(running) > 2
    assert end_soon(*running)
    assert checkpoint_of(out)["ilvf"]["state"]["frames"] == 40
    assert mlflow_runs(out) == [("FAILED", [20, 40])]
    assert seeds == [0, SEED_STRIDE]

    assert recipe("ilvf_p", "resume=last", *settings) == 0
    assert mlflow_runs(out) == [("FINISHED", [20, 40, 60])]


# ---------------------------------------------------------------------- the run
KILLED_RUN = """
import os, runpy, signal, sys
import psutil
from ilvf.envs.traffic import SumoTrafficEnv

_, file, *sys.argv = sys.argv
begin_step = SumoTrafficEnv.begin_step
count = 0

def step(self, actions):
    global count
    count += 1
    if count == 2 * 24:  # two copies, third iteration of ten steps
        with open(file, "w") as pids:
            print(*(p.pid for p in psutil.Process().children(recursive=True)), file=pids)
        os.kill(os.getpid(), signal.SIGKILL)
    begin_step(self, actions)

SumoTrafficEnv.begin_step = step
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_run_resumes_after_it_was_killed(crossing, out, recipe):
    """No simulator outlives it, and the curve goes on where it ended."""
    pids = out / "pids"
    settings = ("trainer.max_epochs=4", "algorithm.eval_every=9", f"out={out}")
    recipe_file = str(ROOT / "recipes" / "ilvf_p.py")
    command = [sys.executable, "-c", KILLED_RUN, str(pids), recipe_file, *SMALL, *crossing]
    done = subprocess.run([*command, *settings], stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == -signal.SIGKILL
    left = pids.read_text().split()
    assert len(left) == 3  # the template and two simulators
    assert end_soon(*(psutil.Process(int(pid)) for pid in left if psutil.pid_exists(int(pid))))
    assert checkpoint_of(out)["ilvf"]["state"]["frames"] == 40
    assert recipe("ilvf_p", "resume=last", f"out={out}") == 0
    assert mlflow_runs(out) == [("FINISHED", [20, 40, 60, 80])]
