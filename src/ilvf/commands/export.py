"""Write a trained team into one file for other programs.

ilvf export checkpoint=runs/RUN to=onnx             a run's folder: its best checkpoint
ilvf export checkpoint=last to=torch file=team.pt2   a program for torch.export.load
ilvf export checkpoint=PATH to=signals              for SignalController: your own SUMO, or numbers

The networks of to=onnx and to=torch take observations [B, N, Do], and masks [B, N, A] where actions
can be impossible, and return actions [B, N] and outputs [B, N, A]. A recurrent team also takes its
hidden states and returns those of the next step. The normalisation of inputs is inside. Keys of
env.* are those of the run that made the checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ilvf.commands.checkpointed import CheckpointOptions
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import Config
from ilvf.experiment.schema import Schema
from ilvf.options import option

if TYPE_CHECKING:
    from ilvf.checkpoints.policy import Policy

NAMES = {"onnx": "policy.onnx", "torch": "policy.pt2", "signals": "signals.ilvf"}
ENVIRONMENTS = ("large_grid", "monaco", "sumo")  # those with signals


@dataclass
class ExportOptions(CheckpointOptions):
    """What is exported, and how."""

    to: Literal["onnx", "torch", "signals"] = option(
        "onnx", "onnx, torch (torch.export), or signals (for ilvf.deploy.SignalController)"
    )
    temperature: float = option(
        1.0, "of the probabilities, π^(1/T), for programs that sample; 1 is the policy", above=0
    )
    file: str | None = option(
        None,
        "file to write; null: policy.onnx, policy.pt2 or signals.ilvf in the run's folder (of a "
        "team of the zoo: in the working directory)",
        path=True,
    )


SCHEMA = Schema("export", __doc__, ExportOptions, {}, env="encircle")


def main(arguments: Sequence[str] | None = None) -> None:
    """Export as the arguments say."""
    config = command_line(SCHEMA, arguments)
    require(config.checkpoint is not None, "give checkpoint=PATH, a file or a run's folder")
    name = config.env.name
    require(
        config.to != "signals" or name in ENVIRONMENTS,
        f"to=signals is for traffic signals, and {config.checkpoint} is of env={name}; "
        "take to=onnx or to=torch",
    )
    from ilvf.checkpoints.files import run_folder
    from ilvf.checkpoints.policy import load_policy
    from ilvf.checkpoints.zoo import FOLDER

    source = Path(config.checkpoint)
    policy = load_policy(source, temperature=config.temperature)
    folder = Path() if source.parent == FOLDER else run_folder(source)
    file = folder / NAMES[config.to] if config.file is None else Path(config.file)
    write(policy, file, config)
    print(f"{policy!r}: {file}")


def write(policy: "Policy", file: Path, config: Config) -> None:
    """Write a policy in the format `config.to`."""
    if config.to == "signals":
        from ilvf.deploy.signal_file import write_signals

        write_signals(policy, environment(config), file)
        return
    from ilvf.deploy import networks

    export = {"onnx": networks.to_onnx, "torch": networks.to_torch}[config.to]
    export(policy, file)


def environment(config: Config) -> Any:
    """The environment of a config, closed: what is known of its roads remains."""
    from ilvf.experiment.build import environment_factory

    env = environment_factory(config)(num_envs=1, seed=config.seed)
    env.close()
    return env
