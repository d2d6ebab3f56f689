"""The evaluation of a policy in training, and the callbacks that see it."""

from typing import TYPE_CHECKING, Any

import lightning as L
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from ilvf.data.evaluation import evaluate, evaluation_seed
from ilvf.envs.wrapped import set_to_evaluate
from ilvf.errors import UsageError

if TYPE_CHECKING:
    from ilvf.algorithms.base import Training


class EvaluationCallback(L.Callback):
    """A Lightning callback that also sees every evaluation."""

    def on_evaluation(
        self, trainer: L.Trainer, module: "Training", env: EnvBase, rollout: TensorDictBase
    ) -> None:
        """Called after an evaluation, with its environment and its rollout `[B, T]`."""


def evaluated_metrics(module: "Training") -> dict[str, float]:
    """`eval/NAME` → value, of episodes in an environment of their own; the callbacks see them."""
    options = module.options
    trainer = module.trainer
    seed = evaluation_seed(module.seed)
    env = module.make_env(num_envs=options.eval_episodes, seed=seed, device=module.indexed_device())
    set_to_evaluate(env)  # environments may add rewards in training that scores leave out
    metrics, rollout = evaluate(
        env,
        module.evaluated(),
        max_steps=evaluation_steps(env, options.eval_steps),
        deterministic=options.eval_deterministic,
        seed=seed,  # the same on all processes, so that they agree on the best checkpoint
    )
    metrics = trainer.strategy.broadcast(metrics)
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, EvaluationCallback):
            callback.on_evaluation(trainer, module, env, rollout)
    env.close()
    return {f"eval/{name}": value for name, value in metrics.items()}


def evaluation_steps(env: EnvBase, given: int | None) -> int:
    """Steps of an evaluation's episodes: those given, or the environment's horizon."""
    steps = given or getattr(env, "horizon", None)
    if steps is None:
        raise UsageError(
            f"{type(env).__name__} has no horizon; give the length of an evaluation episode "
            "by eval_steps="
        )
    return steps
