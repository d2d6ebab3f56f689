"""MAPPO of this library, in three forms.

    ilvf           a value per agent, advantages summed; advantages and value targets are
                   normalised, the value loss is Huber's with value clipping
    ilvf-central   the same with one value of the summed reward
    ilvf-plain     a value per agent, without normalisation, Huber loss and value clipping: none of
                   them is in BenchMARL

python benchmarks/against_benchmarl/ours.py      both tasks, seeds 0-4; skips runs that are finished
"""

from typing import Any

import lightning as L
import torch
from records import Record, command_line
from tasks import TASKS, Settings
from torchrl.envs import EnvBase, VmasEnv

from ilvf.algorithms import MAPPO
from ilvf.envs import check_env, make_env
from ilvf.modules import CategoricalActor, CentralCritic, StateCritic

FORMS = ("ilvf", "ilvf-central", "ilvf-plain")
PLAIN: dict[str, Any] = {
    "normalize": "none",
    "value_norm": False,
    "value_clip": None,
    "huber_delta": 1e9,  # so large that the loss is ½ (V − G)²
    "value": 2.0,  # BenchMARL's value loss is (V − G)²
}
DEFAULTS = Settings()


def environment(task: str, num_envs: int, seed: int, device: Any = "cpu") -> EnvBase:
    """The environment of a task."""
    size: dict[str, Any] = {"num_envs": num_envs, "seed": seed, "device": device}
    if task == "simple_spread":
        return make_env("pettingzoo/mpe2.simple_spread_v3", kwargs=TASKS[task].world, **size)
    return VmasEnv(task, continuous_actions=False, **size, **TASKS[task].world)


class Recorder(L.Callback):
    """Records an evaluation at the start and after every iteration."""

    def __init__(self, record: Record):
        self.record = record

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.record.after(0, module.loss.actor)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.record.after(trainer.current_epoch + 1, module.loss.actor)


def algorithm(task: str, seed: int, form: str, settings: Settings) -> MAPPO:
    """MAPPO in one of the forms.

    `Record` evaluates it; its own evaluation comes only after the last iteration and is one step.
    """
    torch.manual_seed(seed)
    facts = check_env(environment(task, 2, seed))
    networks: dict[str, Any] = {
        "hidden": settings.hidden,
        "depth": settings.depth,
        "activation": settings.activation,
    }
    actor = CategoricalActor(
        facts.n_agents, facts.observation_dim, facts.n_actions, share=True, **networks
    )
    critic: CentralCritic | StateCritic
    if form == "ilvf-central":
        critic = CentralCritic(facts.n_agents, facts.state_dim, **networks)
    else:
        critic = StateCritic(facts.n_agents, facts.state_dim, share=True, **networks)
    return MAPPO(
        lambda num_envs, seed, device: environment(task, num_envs, seed, device),
        actor,
        critic,
        state_key=facts.state_key,
        seed=seed,
        num_envs=TASKS[task].num_envs,
        rollout_steps=TASKS[task].rollout_steps,
        lr=settings.lr,
        adam_eps=settings.adam_eps,
        max_grad_norm=settings.max_grad_norm,
        gamma=settings.gamma,
        lmbda=settings.lmbda,
        clip=settings.clip,
        entropy=settings.entropy,
        epochs=settings.epochs,
        minibatches=settings.minibatches,
        eval_every=settings.iterations + 1,
        eval_episodes=1,
        eval_steps=1,
        **(PLAIN if form == "ilvf-plain" else {}),
    )


def run(
    task: str, seed: int, form: str, settings: Settings = DEFAULTS, **options: Any
) -> list[tuple[float, ...]]:
    """The evaluations of one run; options are those of `Record`."""
    record = Record(task, seed, settings, **options)
    trainer = L.Trainer(
        max_epochs=settings.iterations,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Recorder(record)],
    )
    trainer.fit(algorithm(task, seed, form, settings))
    return record.rows


if __name__ == "__main__":
    command_line(__doc__, run, FORMS, environment)
