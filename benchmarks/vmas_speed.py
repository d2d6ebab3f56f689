"""Frames per second of MAPPO on VMAS `navigation`, beside BenchMARL's MAPPO.

python benchmarks/vmas_speed.py                     60, 240 and 960 environments, one thread
python benchmarks/vmas_speed.py --envs 60

Both sides have 4 agents, rollouts of 100 steps, 10 epochs of 4 minibatches, 9 discrete actions, two
layers of 256 tanh units, one policy network for all agents and one central value. A frame is a step
of one environment. The figures are frames per processor second, of the second and third iteration.
Each measurement has a process of its own, and the sides take turns.
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import torch

import ilvf.integrations.benchmarl  # noqa: F401  BenchMARL 1.5.2 on today's TorchRL
from common import argument_parser
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.memory import keep_memory
from ilvf.experiment.options import training_schema
from training import quiet_trainer, without_evaluation

# isort: split
from benchmarl.algorithms import MappoConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

AGENTS = 4
STEPS = 100
EPOCHS = 10
MINIBATCHES = 4
WIDTH = 256
ITERATIONS = 3
SIDES = ("ilvf", "BenchMARL")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--envs", type=int, nargs="+", default=[60, 240, 960])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "ENVS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        side, envs = args.measure
        measure(side, int(envs))
        return
    print("frames per processor second | environments | collecting | whole iteration")
    for envs in args.envs:
        found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
        for _ in range(args.turns):
            for side in SIDES:
                found[side].append(measured(side, envs))
        for side in SIDES:
            collecting, whole = (statistics.median(x) for x in zip(*found[side], strict=True))
            print(f"{side:27} | {envs:12d} | {collecting:10.0f} | {whole:15.0f}", flush=True)


def measured(side: str, envs: int) -> tuple[float, float]:
    """Frames per second while collecting, and of whole iterations, in a new process."""
    command = [sys.executable, __file__, "--measure", side, str(envs)]
    output = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    collecting, whole = json.loads(output.splitlines()[-1])
    return collecting, whole


def measure(side: str, envs: int) -> None:
    """Print the two rates of one side."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    seconds = ours(envs) if side == "ilvf" else theirs(envs)
    collecting, whole = (sum(part[1:]) for part in seconds)  # without the first iteration
    frames = envs * STEPS * (ITERATIONS - 1)
    print(json.dumps([frames / collecting, frames / whole]))


class Laps:
    """Processor seconds of the collecting part of iterations, and of the whole ones."""

    def __init__(self) -> None:
        self.collecting: list[float] = []
        self.whole: list[float] = []
        self.start = time.process_time()

    def collected(self) -> None:
        self.collecting.append(time.process_time() - self.start)

    def ended(self) -> None:
        self.whole.append(time.process_time() - self.start)
        self.start = time.process_time()

    @property
    def seconds(self) -> tuple[list[float], list[float]]:
        return self.collecting, self.whole


class Watch(Callback):
    """Tells the laps of BenchMARL's iterations."""

    def __init__(self, laps: Laps):
        super().__init__()
        self.laps = laps

    def on_batch_collected(self, batch: Any) -> None:
        self.laps.collected()

    def on_train_end(self, training_td: Any, group: str) -> None:
        self.laps.ended()


def ours(envs: int) -> tuple[list[float], list[float]]:
    """Seconds of this library's iterations."""
    keep_memory()
    arguments = (
        "env=vmas",
        f"env.kwargs.n_agents={AGENTS}",
        f"env.horizon={STEPS}",
        f"algorithm.num_envs={envs}",
        f"algorithm.rollout_steps={STEPS}",
        f"algorithm.epochs={EPOCHS}",
        f"algorithm.minibatches={MINIBATCHES}",
        f"algorithm.hidden={WIDTH}",
        "algorithm.depth=2",
        "algorithm.activation=tanh",
        "algorithm.share=true",
        "algorithm.critic=central",
    )
    module: Any = build(resolve(training_schema("mappo"), arguments))
    without_evaluation()
    laps = Laps()
    collect, end = module.collect, module.on_train_epoch_end

    def collects() -> Any:
        laps.start = time.process_time()
        rollout = collect()
        laps.collected()
        return rollout

    def ends() -> None:
        end()
        laps.ended()

    module.collect, module.on_train_epoch_end = collects, ends
    quiet_trainer(ITERATIONS).fit(module)
    return laps.seconds


def theirs(envs: int) -> tuple[list[float], list[float]]:
    """Seconds of BenchMARL's iterations."""
    laps = Laps()
    folder = tempfile.TemporaryDirectory()
    task = VmasTask.NAVIGATION.get_from_yaml()
    task.config |= {"n_agents": AGENTS, "max_steps": STEPS}
    model = MlpConfig.get_from_yaml()
    model.num_cells = [WIDTH, WIDTH]
    config = ExperimentConfig.get_from_yaml()
    frames = envs * STEPS
    changes = {
        "prefer_continuous_actions": False,
        "max_n_iters": ITERATIONS,
        "max_n_frames": None,
        "on_policy_collected_frames_per_batch": frames,
        "on_policy_n_envs_per_worker": envs,
        "on_policy_n_minibatch_iters": EPOCHS,
        "on_policy_minibatch_size": frames // MINIBATCHES,
        "evaluation": False,
        "loggers": [],
        "create_json": False,
        "save_folder": folder.name,
    }
    for key, value in changes.items():
        setattr(config, key, value)
    experiment = Experiment(
        task=task,
        algorithm_config=MappoConfig.get_from_yaml(),
        model_config=model,
        critic_model_config=model,
        seed=0,
        config=config,
        callbacks=[Watch(laps)],
    )
    laps.start = time.process_time()
    experiment.run()
    folder.cleanup()
    return laps.seconds


if __name__ == "__main__":
    main()
