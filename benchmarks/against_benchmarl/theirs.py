"""MAPPO of BenchMARL. Needs an environment of its own, see docs/results/benchmarl.md.

python benchmarks/against_benchmarl/theirs.py    both tasks, seeds 0-4; skips runs that are finished

BenchMARL's PettingZoo tasks import `pettingzoo.mpe`, which PettingZoo 1.25 moved to the package
mpe2. `SimpleSpread` is the same task from there.
"""

import itertools
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

from records import Record, command_line
from tasks import TASKS, Settings
from torchrl.envs import EnvBase, PettingZooWrapper, SerialEnv

try:
    from benchmarl.algorithms import MappoConfig
    from benchmarl.environments import TaskClass, VmasTask
    from benchmarl.environments.pettingzoo.common import PettingZooClass
    from benchmarl.experiment import Callback, Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig
except ImportError as error:
    raise SystemExit(
        f"{error}; this script needs an environment with BenchMARL, see docs/results/benchmarl.md"
    ) from error

warnings.filterwarnings("ignore")
FORM = "benchmarl"


class SimpleSpread(PettingZooClass):
    """`simple_spread_v3` of mpe2, with a different seed for each copy.

    With one seed for all copies, all of them have the same starts.
    """

    def get_env_fun(
        self, num_envs: int, continuous_actions: bool, seed: int, device: Any
    ) -> Callable[[], EnvBase]:
        from mpe2 import simple_spread_v3

        seeds = itertools.count(10_000 * seed)

        def make() -> EnvBase:
            world = simple_spread_v3.parallel_env(
                **self.config, continuous_actions=continuous_actions
            )
            return PettingZooWrapper(
                world,
                group_map={"agents": world.possible_agents},
                return_state=True,
                categorical_actions=True,
                seed=next(seeds),
                device=device,
            )

        return make


class Recorder(Callback):
    """Records an evaluation at the start and after every iteration."""

    def __init__(self, record: Record):
        super().__init__()
        self.record = record
        self.iteration = 0

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
    """The environment of a task."""
    make = task_of(task).get_env_fun(num_envs, continuous_actions=False, seed=seed, device="cpu")
    return SerialEnv(num_envs, make) if task == "simple_spread" else make()


def experiment_config(task: str, settings: Settings, folder: str) -> ExperimentConfig:
    config = ExperimentConfig.get_from_yaml()
    config.prefer_continuous_actions = False
    config.gamma = settings.gamma
    config.lr = settings.lr
    config.adam_eps = settings.adam_eps
    config.clip_grad_val = settings.max_grad_norm
    config.max_n_frames = settings.iterations * TASKS[task].frames
    config.on_policy_collected_frames_per_batch = TASKS[task].frames
    config.on_policy_n_envs_per_worker = TASKS[task].num_envs
    config.on_policy_n_minibatch_iters = settings.epochs
    config.on_policy_minibatch_size = TASKS[task].frames // settings.minibatches
    config.evaluation = False
    config.loggers = []
    config.create_json = False
    config.save_folder = folder
    return config


def algorithm_config(settings: Settings) -> MappoConfig:
    config = MappoConfig.get_from_yaml()
    config.clip_epsilon = settings.clip
    config.entropy_coef = settings.entropy
    config.lmbda = settings.lmbda
    return config


def network_config(settings: Settings) -> MlpConfig:
    config = MlpConfig.get_from_yaml()
    config.num_cells = [settings.hidden] * settings.depth
    assert config.activation_class.__name__.lower() == settings.activation
    return config


def run(task: str, seed: int, form: str = FORM) -> list[tuple[float, ...]]:
    """The evaluations of one run."""
    settings = Settings()
    record = Record(task, seed, settings)
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(
            task_of(task),
            algorithm_config(settings),
            network_config(settings),
            seed,
            experiment_config(task, settings, folder),
            callbacks=[Recorder(record)],
        )
        experiment.run()
    return record.rows


if __name__ == "__main__":
    command_line(__doc__, run, (FORM,), environment)
