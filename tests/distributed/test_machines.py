"""Two machines, played by two processes of this one: one run, the numbers of two local processes.

torchrun starts them, or SLURM's variables say that srun has.
"""

import os
import socket
import subprocess
import sys

import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import ROOT, TINY
from run_helpers import folder_with_store, last_checkpoint, logged_frames

pytestmark = pytest.mark.slow
COMMAND = ("-m", "ilvf", "train", "ilvf_p", *TINY)
RECIPE = (ROOT / "recipes" / "ilvf_p.py", *TINY)  # Lightning starts a file in another way
RUN_BY_LAUNCHER = ("trainer.num_nodes=2",)
UNRECORDED = ("trainer.logger=none",)


def started(*words, **variables):
    """A process of this Python, without variables of other runs."""
    names = ("MLFLOW_TRACKING_URI", "ILVF_RUN_DIR", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        env={**inherited, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outputs(*processes):
    """What processes have said, each after its end without an error."""
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return said


def ranks_of(out):
    """The states of the processes in the last checkpoint of the one run below `out`."""
    (path,) = out.glob("*/checkpoints/last.ckpt")
    return torch.load(path, weights_only=True)["ilvf"]["state"]["ranks"]


def free_port():
    """A port of this machine that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def nodes_of_torchrun(port, *words):
    """Both torchruns of a run on two machines."""
    launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    address = ["--master_addr=127.0.0.1", f"--master_port={port}"]
    return [started(*launcher, f"--node_rank={k}", *address, *words) for k in range(2)]


def tasks_of_srun(port, *words):
    """Both tasks of a SLURM job on two machines."""
    job = {
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODELIST": "localhost",
        "SLURM_LOCALID": "0",
        "MASTER_PORT": str(port),
    }
    ranks = [{"SLURM_PROCID": str(k), "SLURM_NODEID": str(k)} for k in range(2)]
    return [started(*words, **job, **rank) for rank in ranks]


@pytest.fixture(scope="module")
def local_run(tmp_path_factory, store):
    """The folder above a run of two processes that Lightning has started on one machine."""
    out = folder_with_store(tmp_path_factory.mktemp("machines") / "local", store)
    outputs(started(*RECIPE, f"out={out}", "trainer.devices=2", "trainer.strategy=ddp"))
    return out


@pytest.fixture(scope="module")
def local(local_run):
    """The states of its processes."""
    return ranks_of(local_run)


def require_same_ranks(ranks, local):
    """The processes end with the weights of the local ones, and in the same environments."""
    assert {rank["checksum"] for rank in ranks} == {local[0]["checksum"]}
    for mine, other in zip(ranks, local, strict=True):
        assert torch.equal(mine["env"]["position"], other["env"]["position"])
    assert not torch.equal(ranks[0]["env"]["position"], ranks[1]["env"]["position"])


def test_two_local_processes_learn_the_same_from_environments_of_their_own(local_run):
    """DDP: equal parameters on both ranks; frames and rewards are those of both together."""
    state = last_checkpoint(local_run)["ilvf"]["state"]
    first, second = state["ranks"]
    assert first["checksum"] == second["checksum"]
    assert not torch.equal(first["env"]["position"], second["env"]["position"])
    assert not torch.equal(first["generators"]["torch"], second["generators"]["torch"])
    assert state["frames"] == 2 * 2 * 40
    assert logged_frames(local_run) == [80, 160]


def test_two_machines_of_torchrun_are_one_run_and_like_two_local_processes(out, local):
    outputs(*nodes_of_torchrun(free_port(), *COMMAND, *RUN_BY_LAUNCHER, f"out={out}"))
    require_same_ranks(ranks_of(out), local)
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encircle").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"


def test_two_machines_of_srun_are_one_run_and_like_two_local_processes(tmp_path, local):
    words = (*COMMAND, *UNRECORDED, *RUN_BY_LAUNCHER, f"out={tmp_path}")
    outputs(*tasks_of_srun(free_port(), *words))
    require_same_ranks(ranks_of(tmp_path), local)


def test_one_task_of_slurm_starts_its_processes_itself(tmp_path, local):
    """As in a batch script that reserves one task with several devices."""
    job = {"SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    words = (*COMMAND, *UNRECORDED, f"out={tmp_path}", "trainer.devices=2")
    outputs(started(*words, **job))
    require_same_ranks(ranks_of(tmp_path), local)
