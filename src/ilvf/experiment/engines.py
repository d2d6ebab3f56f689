"""The engines that run the jobs of studies and sweeps, and their options.

This module imports nothing heavy, so that `--help` is instant.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import OmegaConf

from ilvf.experiment.config import Config
from ilvf.options import Options, option

if TYPE_CHECKING:
    from ilvf.experiment.jobs import Engine

EngineName = Literal["local", "submitit"]


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


def engine_of(section: Config, folder: Path, accelerator: str) -> "Engine":
    """The engine that a command's config names.

    Args:
        section: the config's section `engine`, with `name`.
        folder: where a cluster's job files go.
        accelerator: of the runs.

    Raises:
        UsageError: submitit is missing, or does not accept the options.
    """
    if section["name"] == "local":
        from ilvf.experiment.jobs import LocalEngine

        return LocalEngine(accelerator)
    from ilvf.experiment.cluster import ClusterEngine

    values: Any = OmegaConf.to_container(section)
    del values["name"]
    return ClusterEngine(folder, EngineOptions(**values), accelerator)
