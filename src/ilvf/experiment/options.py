"""Options of a training run that are not the algorithm's or the environment's."""

from dataclasses import dataclass
from typing import Literal

from ilvf.algorithms.options import config_of
from ilvf.errors import require
from ilvf.experiment.schema import Schema
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import Options, option

MOST_THREADS = 1024


@dataclass
class RunOptions(Options):
    """Where a run comes from and where it goes."""

    preset: str | None = option(
        None, "overlay of these defaults: paper (Table 1), traffic (sizes for SUMO), or a yaml file"
    )
    resume: str | None = option(
        None, "continue a run: PATH of a checkpoint or a run's folder, or last", path=True
    )
    seed: int = option(0, "of networks, environments and sampling", least=0, below=2**32)
    seeds: str | None = option(
        None, "several runs, such as 0-4 or 0,3,7, as many at a time as there are cores"
    )
    out: str = option("runs", "folder of runs, checkpoints and the MLflow store", path=True)

    def check(self) -> None:
        super().check()
        if self.seeds is None:
            return
        parse_seeds(self.seeds)
        require(
            self.resume is None,
            "seeds and resume cannot be combined; resume each run by itself",
        )


@dataclass
class TrainerOptions(Options):
    """Options of Lightning's Trainer, and of this process."""

    max_epochs: int = option(
        100, "iterations; one is num_envs × rollout_steps frames per process", least=1
    )
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = option(
        "auto", "cpu, gpu (cuda or mps), or auto: a GPU if there is one"
    )
    devices: int | list[int] = option(
        1, "processes of this machine, one device each; -1 for all GPUs, or a list of GPUs: [0, 2]"
    )
    num_nodes: int = option(1, "machines; several are started by torchrun or srun", least=1)
    strategy: Literal["auto", "ddp"] = option(
        "auto", "ddp, which auto also takes for several processes"
    )
    precision: Literal["32-true", "bf16-mixed"] = option("32-true", "32-true or bf16-mixed")
    threads: int = option(
        0, "CPU threads per process, 0 for torch's own choice", least=0, most=MOST_THREADS
    )
    collector: Literal["local", "processes", "ray"] = option(
        "local",
        "where environments and acting are: local, the run's own process; processes, workers of "
        "this machine; ray, workers of a Ray cluster",
    )
    collector_workers: int = option(2, "workers of each process, with processes or ray", least=1)
    progress: bool = option(True, "show a progress bar")
    pictures: bool = option(
        True, "draw influence and an episode at every evaluation, and the learning curve"
    )
    animation: bool = option(
        True, "draw the last evaluation's first episode as a GIF, where the environment can"
    )
    early_stopping: int | None = option(
        None, "evaluations in a row without a better return that end the run; null: none", least=1
    )
    early_stopping_delta: float = option(
        0.0, "least improvement of the return that counts for early stopping", least=0
    )
    save_top_k: int = option(
        1,
        "best evaluations that keep a checkpoint; above 1 also as top-ITERATION.ckpt",
        least=1,
    )
    logger: Literal["mlflow", "tensorboard", "csv", "wandb", "none"] = option(
        "mlflow", "where metrics go, besides the run's folder; ilvf compare reads mlflow"
    )
    system_metrics: bool = option(
        False, "record the load of processor, memory, disk, network and GPUs in MLflow"
    )

    def check(self) -> None:
        super().check()
        require(
            not self.system_metrics or self.logger == "mlflow",
            f"trainer.system_metrics=true needs trainer.logger=mlflow, not {self.logger}",
        )
        require(
            self.collector != "local" or self.collector_workers == type(self).collector_workers,
            f"trainer.collector_workers={self.collector_workers} has no meaning with "
            "trainer.collector=local; add trainer.collector=processes",
        )
        devices = self.devices
        if isinstance(devices, int):
            require(
                devices >= 1 or devices == -1,
                f"trainer.devices={devices} must be at least 1, or -1 for all GPUs",
            )
            return
        indices = [k for k in devices if type(k) is int and k >= 0]
        require(
            bool(devices) and len(set(indices)) == len(devices),
            f"trainer.devices={devices} must name different GPUs by numbers from 0, such as [0, 2]",
        )


def training_schema(name: str, doc: str | None = None) -> Schema:
    """The config of a training run of the algorithm `name`.

    Args:
        doc: first lines of the help page; by default what the algorithm is.

    Raises:
        UsageError: no algorithm has this name.
    """
    config = config_of(name)
    return Schema(
        name,
        doc or f"{config.__doc__}",
        RunOptions,
        {"algorithm": config, "trainer": TrainerOptions},
        env="encircle",
        defaults={"trainer.max_epochs": config.iterations},
    )
