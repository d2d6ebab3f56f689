"""This library's MAPPO, in three forms.

    ilvf           a value per agent, advantages summed; advantages and value targets normalised, Huber, value clipping
    ilvf-central   the same with one value of the summed reward
    ilvf-plain     a value per agent, without normalisation, Huber and value clipping, which BenchMARL has not

python benchmarks/against_benchmarl/ours.py             both tasks, seeds 0-4; what has finished is not run again
"""

from typing import Any

import lightning as L
import torch
from tasks import TASKS, Record, Settings, command_line
from torchrl.envs import EnvBase, VmasEnv

from ilvf.algorithms import MAPPO
from ilvf.envs import check_env, make_env
from ilvf.modules import CategoricalActor, CentralCritic, StateCritic

SIDES = ("ilvf", "ilvf-central", "ilvf-plain")
PLAIN: dict[str, Any] = dict(normalize="none", value_norm=False)
PLAIN_LOSS = dict(
    value_clip=None, huber_delta=1e9, value=2.0
)  # (V − G)², theirs, is 2 · ½ (V − G)²


def environment(task: str, num_envs: int, seed: int, device: Any = "cpu") -> EnvBase:
    size: dict[str, Any] = dict(num_envs=num_envs, seed=seed, device=device)
    if task == "simple_spread":
        return make_env("pettingzoo/mpe2.simple_spread_v3", kwargs=TASKS[task].world, **size)
    return VmasEnv(task, continuous_actions=False, **size, **TASKS[task].world)


class Recorder(L.Callback):
    def __init__(self, record: Record):
        self.record = record

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.record.after(0, module.loss.actor)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.record.after(trainer.current_epoch + 1, module.loss.actor)


def algorithm(task: str, seed: int, side: str, s: Settings) -> MAPPO:
    torch.manual_seed(seed)
    facts = check_env(environment(task, 2, seed))
    net: dict[str, Any] = dict(hidden=s.hidden, depth=s.depth, activation=s.activation)
    actor = CategoricalActor(
        facts.n_agents, facts.observation_dim, facts.n_actions, share=True, **net
    )
    plain, sizes = side == "ilvf-plain", (facts.n_agents, facts.state_dim)
    critic = (
        CentralCritic(*sizes, **net)
        if side == "ilvf-central"
        else StateCritic(*sizes, share=True, **net)
    )
    return MAPPO(
        lambda num_envs, seed, device: environment(task, num_envs, seed, device),
        actor,
        critic,
        loss=dict(clip=s.clip, entropy=s.entropy, **(PLAIN_LOSS if plain else {})),
        gamma=s.gamma,
        lmbda=s.lmbda,
        state_key=facts.state_key,
        num_envs=TASKS[task].num_envs,
        rollout_steps=TASKS[task].rollout_steps,
        epochs=s.epochs,
        minibatches=s.minibatches,
        lr=s.lr,
        adam_eps=s.adam_eps,
        max_grad_norm=s.max_grad_norm,
        eval_every=s.iterations
        + 1,  # `Record` evaluates; the algorithm does at its end, and briefly
        eval_episodes=1,
        eval_steps=1,
        seed=seed,
        **(PLAIN if plain else {}),
    )


def run(
    task: str, seed: int, side: str, s: Settings = Settings(), **options: Any
) -> list[tuple[float, ...]]:
    """The evaluations of one run; options: of `Record`."""
    record = Record(task, seed, s, **options)
    L.Trainer(
        max_epochs=s.iterations,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Recorder(record)],
    ).fit(algorithm(task, seed, side, s))
    return record.rows


if __name__ == "__main__":
    command_line(__doc__, run, SIDES, environment)
