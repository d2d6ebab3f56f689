"""Options of the engines that run the jobs of studies and sweeps."""

import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

from ilvf.options import Options, option

EngineName = Literal["local", "submitit"]


@dataclass
class RunnerKeys(Options):
    """What a command that runs many runs does with them."""

    dry: bool = option(False, "list what would run, without running it")
    report: bool = option(False, "write the report of the finished runs, without running others")
    engine: EngineName = option("local", "where runs are: local, or submitit for a cluster")


@dataclass
class EngineOptions(Options):
    """Options of `engine=submitit`, under the names of submitit's `AutoExecutor`."""

    cluster: Literal["auto", "slurm", "local"] = option(
        "auto", "slurm; local: processes of this machine; auto: slurm if there is srun"
    )
    partition: str | None = option(None, "SLURM partition; null for the cluster's default")
    timeout_min: int = option(240, "[min] after which the cluster ends a run", least=1)
    cpus_per_task: int = option(1, "cores of a run", least=1)
    gpus_per_node: int | None = option(
        None, "GPUs of a run; null: one, or none for runs on the CPU", least=0
    )
    mem_gb: float | None = option(
        None, "[GB] memory of a run; null for the cluster's default", above=0
    )
    parallel: int | None = option(
        None, "runs at a time; null: 16, or one per core with cluster=local", least=1
    )
    more: dict[str, Any] = option(
        {}, "other parameters of submitit, such as engine.more.slurm_qos=low"
    )


def installed(package: str) -> bool:
    """Can an optional package be imported?"""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # it is switched off in sys.modules
        return False
