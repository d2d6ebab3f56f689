"""What a run prints at its end."""

import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ilvf.algorithms.base import Training
from ilvf.experiment.command_line import invocation
from ilvf.experiment.config import confirmed_words
from ilvf.experiment.metrics_file import METRICS
from ilvf.experiment.options import training_schema
from ilvf.experiment.pages import charts_page, ui_command
from ilvf.experiment.tracking import MLflowTracker


def print_ending(
    module: Training, tracker: Any, signal_number: int | None, command: Sequence[str]
) -> None:
    """The last evaluation, the checkpoint, and the commands that continue and open the run.

    Args:
        signal_number: of the signal that has stopped the run, or None.
        command: the words of the run's command.
    """
    if signal_number is not None:
        print(f"stopped by {signal.Signals(signal_number).name} after {module.frames} frames")
    scores = {k: v for k, v in module.last_metrics.items() if k.startswith("eval/")}
    if scores:
        episodes = module.options.eval_episodes
        print(f"evaluation of {episodes} episodes after {module.frames} frames:")
    for name, value in scores.items():
        print(f"  {name.removeprefix('eval/'):<24}{value:12.4f}")
    last = tracker.run_dir / "checkpoints" / "last.ckpt"
    print(f"checkpoint   {last}")
    print(f"continue     {continuation(module.config, command, last)} trainer.max_epochs=...")
    if isinstance(tracker, MLflowTracker):
        print(f"MLflow run   {tracker.run_id}")
        print(how_to_open(tracker.uri))
        print(f"charts at    {charts_page(str(tracker.experiment_id))}", flush=True)
    else:
        print(f"metrics      {tracker.run_dir / METRICS}", flush=True)


def continuation(config: Mapping[str, Any], command: Sequence[str], checkpoint: Path) -> str:
    """The command that resumes a run, with the keys that its checkpoint may not set."""
    schema, env = training_schema(config["recipe"]), config["env"]["name"]
    again = confirmed_words(schema, env, command)
    return shlex.join([*invocation(command), *again, f"resume={checkpoint}"])


def how_to_open(uri: str) -> str:
    """The address of an MLflow server, or the command that serves a local store."""
    if uri.startswith("http"):
        return f"open it at   {uri}"
    mlflow = Path(sys.executable).with_name("mlflow")
    return f"open it by   {ui_command(uri, str(mlflow))}"
