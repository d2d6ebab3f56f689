"""Cost of learning: ms per optimiser step and frames/s of whole iterations, beside the floor of bare matrix products.

    python benchmarks/update.py                 n = 4, 10, 20, 50, 100, one thread
    python benchmarks/update.py --agents 20

A step is: zero the gradients, loss, backward, clip, Adam, on 1600 frames of MPE Encircle in one minibatch. Both
algorithms are measured in turn in one process, so that a drift of the machine's speed hits both.
"""

import argparse
import functools
import logging
import resource
import time
import warnings

import lightning as L
import torch

from gemm import best_ms, bound_ms, ilvf_products, mappo_products
from ilvf import ILVFP, CategoricalActor, Encircle, InfluenceCritic, StateCritic
from ilvf.experiment.memory import keep_memory

FRAMES = 1600


def algorithm(n: int, learned: bool, shared_first: bool = False, **options) -> ILVFP:
    env = Encircle(n)
    actor = CategoricalActor(n, env.observation_dim, env.n_actions)
    sizes = (n, env.state_dim)
    if learned:
        critic = InfluenceCritic(*sizes, env.n_actions, shared_first=shared_first)
        return ILVFP(functools.partial(Encircle, n), actor, critic, **options)
    critic = StateCritic(*sizes, shared_first=shared_first)
    return ILVFP(
        functools.partial(Encircle, n), actor, critic, influence=torch.ones(n, n), **options
    )


def step_ms(module: ILVFP, n: int, rows: int = FRAMES) -> float:
    """One optimiser step on a real rollout of `rows` frames, as the trainer does it but without the trainer."""
    env = Encircle(n, num_envs=rows // 50, seed=0)
    rollout = env.rollout(50, module.loss.actor).detach()
    module.advantage(rollout)
    batch = rollout.select(*module.loss.batch_keys).reshape(-1)
    optimiser = module.configure_optimizers()

    def step() -> None:
        optimiser.zero_grad()
        terms = module.loss(batch)
        torch.stack([v for k, v in terms.items() if k.startswith("loss_")]).sum().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 10.0 * n)
        optimiser.step()

    return best_ms(step)


class Clock(L.Callback):
    """Wall time of every iteration."""

    def __init__(self):
        self.seconds = []

    def on_train_epoch_start(self, trainer, module):
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, module):
        self.seconds.append(time.perf_counter() - self.start)


def frames_per_s(module: ILVFP, iterations: int = 3) -> float:
    """Frames/s of whole iterations under Lightning: collecting, advantages and all updates."""
    clock = Clock()
    L.Trainer(
        max_epochs=iterations,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
    ).fit(module)
    return module.num_envs * module.rollout_steps / min(clock.seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, nargs="*", default=[4, 10, 20, 50, 100])
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    one = dict(
        num_envs=32, rollout_steps=50, epochs=15, minibatches=1, eval_every=10**6, eval_episodes=1
    )
    print(
        f"one thread, {FRAMES} frames in one minibatch, per-agent networks; floor = the bare matrix products"
    )
    print(
        "   n | step [ms]: Ŵ=1   floor  ratio | ILVF-P   floor  ratio | shared: Ŵ=1  ILVF-P | frames/s, 15 epochs:",
        end="",
    )
    print(" Ŵ=1  ILVF-P  ratio | shared: Ŵ=1  ILVF-P  ratio | peak GiB")
    for n in args.agents:
        rows = []
        for shared in (False, True):
            for learned in (False, True):
                rows.append(step_ms(algorithm(n, learned, shared), n))
        floor = [bound_ms(f(n, FRAMES, 18, 6, 5)) for f in (mappo_products, ilvf_products)]
        rates = [
            frames_per_s(algorithm(n, le, sh, **one))
            for sh in (False, True)
            for le in (False, True)
        ]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{n:4d} | {rows[0]:15.1f} {floor[0]:7.1f} {rows[0] / floor[0]:6.2f} |"
            f" {rows[1]:6.1f} {floor[1]:7.1f} {rows[1] / floor[1]:6.2f} | {rows[2]:11.1f} {rows[3]:7.1f} |"
            f" {rates[0]:25.0f} {rates[1]:7.0f} {rates[0] / rates[1]:6.2f} | {rates[2]:11.0f} {rates[3]:7.0f}"
            f" {rates[2] / rates[3]:6.2f} | {peak:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
