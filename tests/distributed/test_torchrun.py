"""Two processes on the CPU, started by torchrun: one run, the same numbers in both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import ROOT, TINY

pytestmark = pytest.mark.slow
WORKER = Path(__file__).with_name("worker.py")


def torchrun(*arguments, **variables):
    """The output of a command that torchrun starts in two processes."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MLFLOW_TRACKING_URI", "ILVF_RUN_DIR", "LOCAL_RANK")
    }
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    finished = subprocess.run(
        [*launcher, "--nproc-per-node", "2", *map(str, arguments)],
        env={**inherited, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return finished.returncode, finished.stdout


HOSTED_BY_THE_FIRST = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # not by torchrun's agent


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder, exit code and output of `worker.py` in both processes."""
    folder = tmp_path_factory.mktemp("answers")
    return folder, *torchrun(WORKER, folder, **HOSTED_BY_THE_FIRST)


@pytest.fixture(scope="module")
def answers(finished):
    """What both processes of `worker.py` computed."""
    folder, _, said = finished
    files = [folder / f"{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in files), said
    return [json.loads(file.read_text()) for file in files]


def test_the_first_process_decides_for_both(answers):
    first, second = answers
    assert first["pid"] != second["pid"]
    decision = f"{first['pid']} a: b"
    assert first["before"] == second["before"] == [decision, decision]
    assert first["after"] == second["after"] == str(first["pid"])


def test_an_error_of_the_first_process_is_raised_in_both(answers):
    assert [answer["error"] for answer in answers] == ["no: such folder"] * 2


def test_a_transposed_tensor_is_averaged(answers):
    for answer in answers:
        assert answer["mean"] == [[0.5, 0.5]] * 3


def test_moments_over_both_processes_are_exact_far_from_zero(answers):
    """Mean 10 000, standard deviation about 2; in the second process an agent is dead."""
    for answer in answers:
        assert max(answer["standardise"]) < 1e-3
        assert max(answer["moments"]) < 1e-3


def test_the_score_test_finds_in_two_processes_what_it_finds_in_one(answers):
    """Each process has a half of the environments and tests a part of the agents."""
    for answer in answers:
        alone = answer["evidence of one process"]
        for name, value in answer["evidence"].items():
            found = torch.tensor(value)
            assert torch.allclose(found, torch.tensor(alone[name]), atol=1e-4), name


def test_a_wrong_argument_is_one_sentence_of_each_process_and_ends_both(finished):
    """The last thing that `worker.py` does."""
    _, code, said = finished
    assert code != 0
    assert "cannot be made" in said
    assert "DistStoreError" not in said


QMIX = (
    *(word for word in TINY if not word.startswith(("algorithm.epochs", "algorithm.minibatches"))),
    "algorithm.batch_size=16",
    "algorithm.warmup=20",
    "algorithm.updates=2",
)


def require_one_run(out, rollouts):
    """Two processes have trained one run below `out`, and end with the same parameters.

    Each process has collected `rollouts` rollouts.
    """
    (folder,) = (path.parent for path in out.glob("*/checkpoints"))
    assert len([path for path in out.iterdir() if "encircle" in path.name]) == 1
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encircle").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["ilvf"]["state"]
    first, second = state["ranks"]
    assert first["checksum"] == second["checksum"]
    assert not torch.equal(first["env"]["position"], second["env"]["position"])
    assert state["frames"] == rollouts * 2 * 40
    names, other_names = (set(rank["replay"]["files"]) for rank in state["ranks"])
    assert not names & other_names
    assert names | other_names <= {path.name for path in (folder / "buffer").iterdir()}


def test_a_module_that_torchrun_starts_is_one_run_which_a_recipe_resumes(out):
    """QMIX: each process has a replay buffer, which it finds again.

    ILVF-P in two processes is in test_machines.py.
    """
    program = ("-m", "ilvf", "train", "qmix")
    sampled = ("algorithm.eval_deterministic=false", "algorithm.eval_every=1")
    lengths = ("trainer.devices=2", "trainer.max_epochs=1")
    words = (*program, *QMIX, *sampled, f"out={out}", *lengths)
    code, said = torchrun(*words, **HOSTED_BY_THE_FIRST)
    assert code == 0, said
    require_one_run(out, rollouts=2)  # the first is random
    program = ROOT / "recipes" / "qmix.py"
    # torchrun's agent hosts what the processes of this part agree on.
    code, said = torchrun(program, "resume=last", f"out={out}", "trainer.max_epochs=2")
    assert code == 0, said
    require_one_run(out, rollouts=3)
