"""BenchMARL's MAPPO; runs in an environment of its own, see docs/results/benchmarl.md.

python benchmarks/against_benchmarl/theirs.py           both tasks, seeds 0-4; what has finished is not run again

Its PettingZoo tasks import `pettingzoo.mpe`, which PettingZoo 1.25 has moved to the package mpe2: `SimpleSpread` is the
same task from there.
"""

import itertools
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

from tasks import TASKS, Record, Settings, command_line
from torchrl.envs import EnvBase, PettingZooWrapper, SerialEnv

try:
    from benchmarl.algorithms import MappoConfig
    from benchmarl.environments import TaskClass, VmasTask
    from benchmarl.environments.pettingzoo.common import PettingZooClass
    from benchmarl.experiment import Callback, Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig
except ImportError as error:
    raise SystemExit(
        f"{error}; this side needs an environment with BenchMARL, docs/results/benchmarl.md"
    ) from error

warnings.filterwarnings("ignore")
SIDE = "benchmarl"


class SimpleSpread(PettingZooClass):
    """`simple_spread_v3` of mpe2, every copy with a seed of its own: with one for all, all begin alike."""

    def get_env_fun(
        self, num_envs: int, continuous_actions: bool, seed: int, device: Any
    ) -> Callable[[], EnvBase]:
        from mpe2 import simple_spread_v3

        seeds = itertools.count(10_000 * seed)

        def make() -> EnvBase:
            world = simple_spread_v3.parallel_env(
                **self.config, continuous_actions=continuous_actions
            )
            options = dict(
                return_state=True, categorical_actions=True, seed=next(seeds), device=device
            )
            return PettingZooWrapper(world, group_map={"agents": world.possible_agents}, **options)

        return make


class Recorder(Callback):
    def __init__(self, record: Record):
        super().__init__()
        self.record, self.iteration = record, 0

    def on_setup(self) -> None:
        self.record.after(0, self.experiment.policy)

    def on_train_end(self, training_td: Any, group: str) -> None:
        self.iteration += 1
        self.record.after(self.iteration, self.experiment.policy)


def task_of(name: str) -> TaskClass:
    if name == "simple_spread":
        return SimpleSpread("SIMPLE_SPREAD", dict(TASKS[name].world))
    task = VmasTask[name.upper()].get_from_yaml()
    task.config = dict(TASKS[name].world)
    return task


def environment(task: str, num_envs: int, seed: int) -> EnvBase:
    make = task_of(task).get_env_fun(num_envs, continuous_actions=False, seed=seed, device="cpu")
    return SerialEnv(num_envs, make) if task == "simple_spread" else make()


def experiment(task: str, seed: int, s: Settings, folder: str) -> ExperimentConfig:
    config, batch = (
        ExperimentConfig.get_from_yaml(),
        TASKS[task].num_envs * TASKS[task].rollout_steps,
    )
    config.prefer_continuous_actions = False
    config.gamma, config.lr, config.adam_eps, config.clip_grad_val = (
        s.gamma,
        s.lr,
        s.adam_eps,
        s.max_grad_norm,
    )
    config.max_n_frames = s.iterations * batch
    config.on_policy_collected_frames_per_batch = batch
    config.on_policy_n_envs_per_worker = TASKS[task].num_envs
    config.on_policy_n_minibatch_iters = s.epochs
    config.on_policy_minibatch_size = batch // s.minibatches
    config.evaluation, config.loggers, config.create_json, config.save_folder = (
        False,
        [],
        False,
        folder,
    )
    return config


def run(task: str, seed: int, side: str = SIDE) -> list[tuple[float, ...]]:
    """The evaluations of one run."""
    s = Settings()
    record = Record(task, seed, s)
    algorithm, model = MappoConfig.get_from_yaml(), MlpConfig.get_from_yaml()
    algorithm.clip_epsilon, algorithm.entropy_coef, algorithm.lmbda = s.clip, s.entropy, s.lmbda
    model.num_cells = [s.hidden] * s.depth
    assert model.activation_class.__name__.lower() == s.activation
    with tempfile.TemporaryDirectory() as folder:
        config = experiment(task, seed, s, folder)
        Experiment(
            task_of(task), algorithm, model, seed, config, callbacks=[Recorder(record)]
        ).run()
    return record.rows


if __name__ == "__main__":
    command_line(__doc__, run, (SIDE,), environment)
