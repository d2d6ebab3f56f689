"""`trainer.*` options of processes and devices: each is refused in one sentence, or means DDP."""

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from helpers import TINY
from ilvf import distributed
from ilvf.distributed import decided_by_first
from ilvf.errors import UsageError
from ilvf.experiment.config import resolve
from ilvf.experiment.folder import make_run_folder
from ilvf.experiment.options import training_schema
from ilvf.experiment.processes import (
    cluster_environment,
    number_of_processes,
    require_launcher,
)
from ilvf.experiment.run import make_trainer


@pytest.fixture
def machine(monkeypatch):
    """machine(gpus, cores, mps=False): the devices that there seem to be."""

    def seem(gpus, cores=4, mps=False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr("ilvf.experiment.processes.os.cpu_count", lambda: cores)

    return seem


# ---------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("argument", "words"),
    [
        *(
            (f"trainer.strategy={name}", "choose one of auto, ddp")
            for name in (
                "fsdp",
                "deepspeed",
                "ddp_spawn",
                "ddp_fork",
                "ddp_notebook",
                "xla",
                "ddp_find_unused",
            )
        ),
        ("trainer.accelerator=tpu", "choose one of auto, cpu, gpu, cuda, mps"),
        ("trainer.accelerator=hpu", "choose one of auto, cpu, gpu, cuda, mps"),
        ("trainer.devices=0", "trainer.devices=0 must be at least 1"),
        ("trainer.devices=-3", "trainer.devices=-3 must be at least 1"),
        ("trainer.devices=two", "must be a whole number"),
        ("trainer.devices=1.5", "must be a whole number"),
        ("trainer.devices=[]", "trainer.devices=[] must name different GPUs"),
        ("trainer.devices=[1,1]", "trainer.devices=[1, 1] must name different GPUs"),
        ("trainer.devices=[-1]", "trainer.devices=[-1] must name different GPUs"),
        ("trainer.devices=[a]", "must name different GPUs"),
        ("trainer.num_nodes=0", "trainer.num_nodes=0 must be at least 1"),
        ("trainer.devices=99999", "trainer.devices=99999 is more than the"),
        ("trainer.devices=[0]", "means GPUs, and the run is on the CPU"),
        ("trainer.devices=-1", "means GPUs, and the run is on the CPU"),
        ("trainer.num_nodes=2", "trainer.num_nodes=2 needs torchrun or srun"),
    ],
    ids=lambda v: v if v.startswith("trainer") else "",
)
def test_an_option_is_refused_in_one_sentence(argument, words, out, recipe, capsys):
    small = [other for other in TINY if "accelerator" not in other or "accel" not in argument]
    assert recipe("ilvf_p", *small, f"out={out}", argument) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert words in said


@pytest.mark.parametrize(
    ("gpus", "accelerator", "devices", "words"),
    [
        (0, "gpu", 1, "trainer.accelerator=gpu, but no such GPU is visible"),
        (0, "cuda", [0], "trainer.accelerator=cuda, but no such GPU is visible"),
        (1, "auto", 2, "trainer.devices=2, but one GPU, number 0, is visible"),
        (2, "gpu", 3, "trainer.devices=3, but GPUs 0 to 1 are visible"),
        (2, "gpu", [2], r"trainer.devices=[2], but GPUs 0 to 1 are visible"),
        (2, "cpu", [1], "means GPUs, and the run is on the CPU"),
        (2, "cpu", 99, "trainer.devices=99 is more than the 4 processes"),
    ],
)
def test_devices_that_the_machine_lacks_are_refused(
    machine, refused, gpus, accelerator, devices, words
):
    machine(gpus)
    with refused(words):
        number_of_processes(accelerator, devices)


@pytest.mark.parametrize(
    ("gpus", "accelerator", "devices", "expected"),
    [
        (0, "auto", 1, 1),
        (0, "auto", 2, 2),
        (4, "cpu", 3, 3),
        (4, "auto", 1, 1),
        (4, "gpu", 4, 4),
        (4, "gpu", [1], 1),
        (4, "cuda", [3, 0], 2),
        (4, "auto", -1, 4),
    ],
)
def test_a_process_per_device(machine, gpus, accelerator, devices, expected):
    machine(gpus)
    assert number_of_processes(accelerator, devices) == expected


def test_two_processes_run_on_any_machine(machine):
    machine(0, cores=1)
    assert number_of_processes("cpu", 2) == 2


def test_metal_is_one_gpu(machine, refused):
    machine(0, mps=True)
    assert number_of_processes("mps", 1) == 1
    assert number_of_processes("auto", 1) == 1
    with refused("one GPU, number 0, is visible"):
        number_of_processes("mps", 2)
    with refused("no such GPU is visible"):
        number_of_processes("cuda", 1)


# ---------------------------------------------------------------------- several machines
@pytest.fixture
def variables(monkeypatch):
    """variables(NAME=value, ...): environment variables of a launcher."""

    def seem(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return seem


SRUN = {
    "SLURM_JOB_NAME": "train",
    "SLURM_STEP_ID": 0,
    "SLURM_NTASKS": 4,
    "SLURM_PROCID": 1,
    "SLURM_NTASKS_PER_NODE": 2,
}
LSF = dict.fromkeys(("LSB_JOBID", "LSB_DJOB_RANKFILE", "JSM_NAMESPACE_LOCAL_RANK"), 1)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "job", "MASTER_ADDR": "a", "MASTER_PORT": 1, "RANK": 0}


@pytest.mark.parametrize(
    ("given", "devices", "num_nodes"),
    [
        ({}, 2, 1),
        ({"SLURM_JOB_NAME": "train", "SLURM_NTASKS": 1}, 2, 1),
        ({"SLURM_JOB_NAME": "bash", "SLURM_NTASKS": 4}, 2, 1),
        (SRUN, 2, 2),
        ({**TORCHRUN, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2}, 2, 2),
        ({**SRUN, **TORCHRUN, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 1}, 1, 2),
        ({"TORCHELASTIC_RUN_ID": "job"}, 1, 1),
    ],
)
def test_processes_that_a_launcher_has_started_are_accepted(variables, given, devices, num_nodes):
    variables(**given)
    require_launcher("cpu", devices, num_nodes)


@pytest.mark.parametrize(
    ("given", "devices", "num_nodes", "words"),
    [
        ({}, 1, 2, "trainer.num_nodes=2 needs torchrun or srun; start on every machine torchrun"),
        (
            {**TORCHRUN, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2},
            1,
            2,
            "torchrun has started 4 processes, 2 on each machine, but trainer.devices=1 and "
            "trainer.num_nodes=2 mean 1 on each of 2; give trainer.devices=2 trainer.num_nodes=2",
        ),
        ({**TORCHRUN, "WORLD_SIZE": 3, "LOCAL_WORLD_SIZE": 2}, 2, 1, "torchrun has started 3"),
        ({**TORCHRUN, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 0}, 2, 2, "4 processes, 1 on each"),
        (SRUN, 2, 1, "srun has started 4 processes, 2 on each machine"),
        ({"SLURM_JOB_NAME": "train", "SLURM_NTASKS": 4}, 1, 1, "begin the command with srun"),
        ({"JSM_NAMESPACE_SIZE": 2, **LSF}, 1, 1, "LSF has started 2 tasks"),
    ],
)
def test_a_contradiction_to_the_launcher_is_one_sentence(
    variables, refused, given, devices, num_nodes, words
):
    variables(**given)
    with refused(words):
        require_launcher("cpu", devices, num_nodes)


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_NTASKS_PER_NODE"])
def test_srun_without_its_variables_is_one_sentence(variables, refused, name):
    variables(**{key: value for key, value in SRUN.items() if key != name})
    with refused(f"{name} is missing", "srun --nodes=2 --ntasks-per-node=4"):
        require_launcher("cpu", 2, 2)


@pytest.mark.parametrize(
    ("given", "processes", "kinds"),
    [
        ({}, 2, []),
        (SRUN, 2, [SLURMEnvironment]),
        ({"SLURM_JOB_NAME": "train", "SLURM_NTASKS": 1}, 1, []),
        ({"SLURM_JOB_NAME": "train", "SLURM_NTASKS": 1}, 2, [LightningEnvironment]),
    ],
)
def test_lightning_is_told_what_the_processes_are(variables, given, processes, kinds):
    variables(**given)
    found = cluster_environment(processes)
    assert [type(environment) for environment in found] == kinds
    assert not any(getattr(environment, "auto_requeue", False) for environment in found)


def test_seeds_cannot_be_combined_with_a_launcher(variables, recipe, capsys, tmp_path):
    variables(**SRUN)
    assert recipe("mappo", "seeds=0,1", f"out={tmp_path}") == 2
    assert "cannot be combined with srun" in capsys.readouterr().err


def test_no_folder_is_left_behind_by_a_refusal(tmp_path, monkeypatch, refused):
    monkeypatch.delenv("ILVF_RUN_DIR", raising=False)
    config = resolve(training_schema("mappo"), [f"out={tmp_path}", "trainer.num_nodes=2"])
    with refused("needs torchrun"):
        make_run_folder(config, None)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- accepted
@pytest.fixture
def given(monkeypatch, tmp_path):
    """given("trainer.devices=2", ...): what Lightning's Trainer is given."""

    def arguments(*overrides):
        seen = []
        monkeypatch.setattr("ilvf.experiment.run.L.Trainer", lambda **options: seen.append(options))
        config = resolve(training_schema("mappo"), overrides)
        make_trainer(config, tmp_path, None, [])
        return seen[0]

    return arguments


def ddp_arguments(strategy):
    """The keyword arguments that a DDPStrategy passes on to DDP."""
    assert type(strategy) is DDPStrategy
    return strategy._ddp_kwargs


@pytest.mark.parametrize(
    "arguments",
    [
        ["trainer.strategy=ddp", "trainer.devices=2"],
        ["trainer.strategy=auto", "trainer.devices=2"],
        ["trainer.devices=2"],
        ["trainer.num_nodes=2"],
        ["trainer.strategy=ddp"],
    ],
)
def test_several_processes_always_use_the_same_ddp(given, machine, arguments):
    machine(0)
    assert ddp_arguments(given(*arguments)["strategy"]) == {"broadcast_buffers": False}


def test_all_gpus_use_the_same_ddp(given, machine):
    machine(4)
    for devices in ("2", "[1,3]", "-1"):
        strategy = given(f"trainer.devices={devices}")["strategy"]
        assert ddp_arguments(strategy) == {"broadcast_buffers": False}


def test_one_process_needs_no_strategy(given, machine):
    machine(4)
    assert given()["strategy"] == "auto"
    assert given("trainer.devices=[1]")["strategy"] == "auto"


def test_a_list_of_devices_reaches_lightning(given, machine):
    machine(4)
    assert given("trainer.devices=[1]")["devices"] == [1]
    assert given("trainer.devices=2")["devices"] == 2


def test_errors_of_lightning_are_one_line(given, machine, monkeypatch, tmp_path):
    def refuse(**options):
        raise ValueError("You requested gpu: [1]\n But your machine only has: []")

    monkeypatch.setattr("ilvf.experiment.run.L.Trainer", refuse)
    config = resolve(training_schema("mappo"), [])
    with pytest.raises(UsageError) as caught:
        make_trainer(config, tmp_path, None, [])
    assert str(caught.value).startswith("trainer: You requested gpu: [1] But your machine")


def test_torchrun_without_its_address_is_one_sentence(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setattr(distributed, "_store", distributed._store.__wrapped__)  # not cached
    with pytest.raises(UsageError, match="MASTER_ADDR is missing; start it by torchrun"):
        decided_by_first(lambda: "a")
