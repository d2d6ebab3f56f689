"""What the commands that read a trained team have in common."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ilvf.errors import require
from ilvf.experiment.config import Config
from ilvf.options import Options, option

if TYPE_CHECKING:
    from ilvf.algorithms.base import Training

MOST_ROWS = 10**12  # episodes of all experiments


@dataclass
class CheckpointOptions(Options):
    """Which trained team, and the seed of what is done with it."""

    checkpoint: str | None = option(
        None,
        "a checkpoint, a run's folder (its best), last (the newest run below out), or zoo:NAME, "
        "a team that comes with the package",
        path=True,
    )
    seed: int = option(
        0, "of episodes, actions and noise; by default the run's own", least=0, below=2**32
    )
    out: str = option("runs", "folder in which `last` is looked for", path=True)


@dataclass
class TrainedOptions(CheckpointOptions):
    """Which trained team, with its critics and its influence."""

    trust: bool = option(
        False, "let the checkpoint import code: an influence of your own, package.module:function"
    )


class Trained(NamedTuple):
    """A trained algorithm and where it comes from."""

    path: Path
    content: Mapping[str, Any]
    module: "Training"

    @property
    def run(self) -> Path:
        """The folder of the run."""
        from ilvf.checkpoints.files import run_folder

        return run_folder(self.path)

    @property
    def gamma(self) -> float:
        """The discount that the run was trained with."""
        return self.module.config["algorithm"]["gamma"]


def load(config: Config, threads: int) -> Trained:
    """The trained algorithm that `config.checkpoint` names, on the environment `config.env`.

    Args:
        threads: threads of torch; 0 leaves the choice to it.
    """
    import torch

    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.experiment.build import load_trained
    from ilvf.experiment.memory import keep_memory

    require(config.checkpoint is not None, "give checkpoint=PATH, a file or a run's folder")
    keep_memory()
    if threads:
        torch.set_num_threads(threads)
    path = Path(config.checkpoint)
    content = read_checkpoint(path)
    module = load_trained(path, content, config.env, trust=config.trust)
    return Trained(path, content, module)


def require_a_team(trained: Trained) -> None:
    """Raise unless there are pairs of agents that could influence each other."""
    require(
        trained.module.loss.actor.arguments["n_agents"] > 1,
        f"{trained.path} is of a team of one agent, so there is no influence between agents",
    )


def require_rows(section: str, *sizes: int) -> None:
    """Raise unless the product of sizes, the episodes of all experiments, is below `MOST_ROWS`.

    Args:
        section: of the options, for the message.
    """
    rows = math.prod(sizes)
    require(rows < MOST_ROWS, f"{section}.* asks for {rows} episodes; make its sizes smaller")


def report_folder(trained: Trained, name: str) -> Path:
    """The folder `name` in the run's folder, made before the work begins.

    Raises:
        UsageError: it cannot be made.
    """
    from ilvf.experiment.folder import make_folder

    folder = trained.run / name
    make_folder(folder, f"checkpoint={trained.path}")
    return folder


def publish(trained: Trained, folder: Path, metrics: Mapping[str, float]) -> None:
    """Print the report in `folder`, and store folder and metrics with the run in MLflow."""
    from ilvf.experiment.store import add_to_run, tracking_uri

    print((folder / "report.md").read_text())
    run_id = trained.content["ilvf"]["run"]
    stored = add_to_run(tracking_uri(trained.run.parent), run_id, folder, metrics)
    also = f", and in the MLflow run {run_id}" if stored else ""
    print(f"report and pictures: {folder}{also}")
