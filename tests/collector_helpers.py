"""Tiny modules whose rollouts come from workers."""

import os
import signal

import lightning as L
import torch

from helpers import bare_trainer
from ilvf.collectors.elsewhere import Elsewhere
from ilvf.collectors.part import Plan
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema

SMALL = (
    "env.n_agents=4",
    "env.horizon=8",
    "algorithm.num_envs=3",
    "algorithm.rollout_steps=6",
    "algorithm.hidden=8",
    "algorithm.recurrent=gru",
    "algorithm.chunk=3",
    "algorithm.eval_every=100",
    "algorithm.eval_episodes=2",
)
WORDS = {  # the actor and the critic of MAPPO remember; MADDPG replays, and its noise remembers
    "mappo": ("algorithm.epochs=1", "algorithm.minibatches=2"),
    "maddpg": (
        "env.continuous=true",
        "algorithm.noise=ou",
        "algorithm.updates=2",
        "algorithm.batch_size=6",
        "algorithm.warmup=20",
        "algorithm.burn_in=2",
    ),
}
ITERATIONS = 3
CHECKPOINT = "e1.ckpt"  # after two iterations


def made(name, collector="processes"):
    """An untrained module, always with the same weights, whose rollouts two workers collect."""
    torch.manual_seed(0)
    module = build(resolve(training_schema(name), [*SMALL, *WORDS[name]]))
    module.elsewhere = Elsewhere(collector, 2)
    return module


class Watch(L.Callback):
    """Notes the rollouts of a training and the weights that were used; can kill a worker.

    Args:
        kill: called with the module after its first iteration.
    """

    def __init__(self, kill=None):
        self.kill = kill
        self.rollouts = []
        self.actors = []

    def on_train_start(self, trainer, module):
        collect = module.collector.__next__

        def noted():
            self.actors.append({k: v.clone() for k, v in module.loss.actor.state_dict().items()})
            self.rollouts.append(collect())
            return self.rollouts[-1]

        module.rollouts = iter(noted, None)

    def on_train_epoch_end(self, trainer, module):
        if self.kill is not None and trainer.current_epoch == 0:
            self.kill(module)


def trained(module, folder, kill=None, **options):
    """What was seen of a training with a checkpoint after each iteration."""
    watch = Watch(kill)
    files = L.pytorch.callbacks.ModelCheckpoint(
        folder, filename="e{epoch}", auto_insert_metric_name=False, save_top_k=-1
    )
    settings = {"enable_checkpointing": True, "default_root_dir": folder}
    bare_trainer(ITERATIONS, callbacks=[watch, files], **settings).fit(module, **options)
    return watch


def kill_process(module):
    """Kill the second worker of a module, a process of this machine."""
    os.kill(module.collector.workers[1].process.pid, signal.SIGKILL)


def rollouts_of(make_env, policy, workers=1, num_envs=2):
    """Rollouts of 4 steps by processes."""
    plan = Plan(make_env, b"", num_envs, 4, seed=7)
    return Elsewhere("processes", workers).rollouts(plan, policy, torch.device("cpu"))
