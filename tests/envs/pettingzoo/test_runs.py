"""Training runs on PettingZoo environments, and their arguments on the command line."""

from dataclasses import fields

import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.algorithms.options import ALGORITHMS
from pettingzoo_helpers import worker_processes

OTHERS = ("env.", "trainer.max_epochs")  # arguments that these tests give themselves
SMALL = tuple(argument for argument in TINY if not argument.startswith(OTHERS))
TASK = ("env=pettingzoo", "env.task=zoo")


@pytest.mark.slow
def test_a_run_that_loses_a_worker_can_be_resumed(out, recipe, capsys, tmp_path):
    """SIGKILL in the third iteration: one sentence and exit code 2; then the run goes on."""
    kwargs = {"limit": 100, "fault": "kill", "fault_step": 25, "fault_file": tmp_path / "file"}
    task = [*TASK, "env.workers=2", "algorithm.eval_steps=3"]
    task += [f"env.kwargs.{name}={value}" for name, value in kwargs.items()]
    common = (f"out={out}", "trainer.max_epochs=4")
    assert recipe("mappo", *SMALL, *task, *common) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: worker ")
    assert "was killed by SIGKILL in step 25" in error
    (last,) = out.glob("*/checkpoints/last.ckpt")
    assert torch.load(last, weights_only=True)["ilvf"]["state"]["frames"] == 2 * 40
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pettingzoo/zoo").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FAILED"

    assert recipe("mappo", "resume=last", "env.task=zoo", *common) == 0
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "reward/agent_step")
    assert [metric.step for metric in history] == [40, 80, 120, 160]
    assert not worker_processes()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_agents_die_in_a_run(workers, out, recipe):
    """Bob ends in the second step of an episode, Ann in the third, Cat in the fourth."""
    deaths = "env.kwargs.terminated_at={bob: 2, ann: 3}"
    task = [*TASK, f"env.workers={workers}", "env.dying=true", "env.horizon=4", deaths]
    assert recipe("ilvf_p", *SMALL, *task, f"out={out}", "trainer.max_epochs=2") == 0
    assert not worker_processes()


ONE_AGENT = {
    "pettingzoo": (
        *TASK,
        "env.kwargs.names=[bob]",
        "env.kwargs.with_state=true",
        "env.kwargs.mask_in=info",
    ),
    "cacc": ("env=cacc", "env.n_agents=1", "env.horizon=10"),
}


@pytest.mark.slow
@pytest.mark.parametrize("env", ONE_AGENT)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_team_of_one_trains(algorithm, env, out, recipe):
    """Two iterations of every algorithm, with an evaluation."""
    arguments = [*SMALL, "trainer.max_epochs=2", f"out={out}"]
    options = {field.name for field in fields(ALGORITHMS[algorithm])}
    known = [x for x in arguments if option_of(x) is None or option_of(x) in options]
    assert recipe(algorithm, *ONE_AGENT[env], *known) == 0


def option_of(argument):
    """The option of an algorithm that an argument sets, or None."""
    name, _, _ = argument.partition("=")
    return name.removeprefix("algorithm.") if name.startswith("algorithm.") else None


def test_a_game_of_one_is_refused(recipe, out, capsys):
    assert recipe("ilvf_p", "env=tabular", "env.n_agents=1", f"out={out}") == 2
    assert "n_agents=1" in capsys.readouterr().err


def test_a_graph_that_the_task_does_not_have_is_refused(recipe, out, capsys):
    assert recipe("ilvf_p", *TASK, "algorithm.influence=reward_graph", f"out={out}") == 2
    assert "does not know its reward_graph" in capsys.readouterr().err
