"""MAPPO of this library: frames per second of the processor. Called by `frames_per_s.py`:

python benchmarks/against_jaxmarl/ours.py AGENTS ITERATIONS [KEY=VALUE ...]

Prints frames per second of the iterations after the first one.
"""

import logging
import sys
import time
import warnings
from pathlib import Path

import lightning as L
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.memory import keep_memory
from ilvf.experiment.options import training_schema
from training import quiet_trainer, without_evaluation

ENVS = 32
STEPS = 50
SETTINGS = (  # sizes are those of `theirs.CONFIG`; the rest are defaults
    f"algorithm.num_envs={ENVS}",
    f"algorithm.rollout_steps={STEPS}",
    "algorithm.epochs=15",
    "algorithm.minibatches=1",
    "algorithm.eval_every=1000000",
    "env=encircle",
)


class Clock(L.Callback):
    """Processor time when each iteration begins."""

    def __init__(self):
        self.times = []

    def on_train_epoch_start(self, *_):
        self.times.append(time.process_time())


def main() -> None:
    agents, iterations, *more = sys.argv[1:]
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    keep_memory()
    torch.set_num_threads(1)
    without_evaluation()
    arguments = [f"env.n_agents={agents}", *SETTINGS, *more]
    training = build(resolve(training_schema("mappo"), arguments))
    clock = Clock()
    quiet_trainer(int(iterations) + 2, clock).fit(training)
    seconds = clock.times[-1] - clock.times[1]
    print(ENVS * STEPS * int(iterations) / seconds)


if __name__ == "__main__":
    main()
