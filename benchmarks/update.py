"""Cost of learning, beside the time of the bare matrix products of the same step.

python benchmarks/update.py                 n = 4, 10, 20, 50, 100, one thread
python benchmarks/update.py --agents 20

The table has milliseconds per optimiser step and frames per second of the processor in whole
iterations. A step zeroes the gradients, computes the loss and its gradients, clips them, and steps
Adam, on 1600 frames of MPE Encircle in one minibatch. Both algorithms are measured in turn in one
process, so that a change of the machine's speed affects both.
"""

import functools
import logging
import resource
import time
import warnings
from collections.abc import Callable

import lightning as L
import torch

from common import argument_parser, best_ms
from gemm import bound_ms, ilvf_products, mappo_products
from ilvf import ILVFP, CategoricalActor, Encircle, InfluenceCritic, StateCritic
from ilvf.experiment.memory import keep_memory
from training import quiet_trainer

FRAMES = 1600
STEPS = 50  # of an episode and of a rollout
ONE_MINIBATCH = {  # of 1600 frames, in 15 epochs
    "num_envs": FRAMES // STEPS,
    "rollout_steps": STEPS,
    "epochs": 15,
    "minibatches": 1,
    "eval_every": 10**6,
    "eval_episodes": 1,
}
HEAD = (
    "   n | step [ms]: Ŵ=1   floor  ratio | ILVF-P   floor  ratio | shared: Ŵ=1  ILVF-P |"
    " frames/s, 15 epochs: Ŵ=1  ILVF-P  ratio | shared: Ŵ=1  ILVF-P  ratio | peak GiB"
)


def algorithm(n: int, learned: bool, shared: bool, **options) -> ILVFP:
    """ILVF-P on Encircle with `n` agents.

    Args:
        learned: learn the influence; otherwise Ŵ = 1, which is MAPPO.
        shared: critics share their first layers.
        **options: fields of `ILVFPOptions`.
    """
    make_env = functools.partial(Encircle, n)
    env = make_env()
    actor = CategoricalActor(n, env.observation_dim, env.n_actions)
    if learned:
        critic = InfluenceCritic(n, env.state_dim, env.n_actions, shared_first=shared)
        return ILVFP(make_env, actor, critic, **options)
    critic = StateCritic(n, env.state_dim, shared_first=shared)
    return ILVFP(make_env, actor, critic, influence=torch.ones(n, n), **options)


def step_ms(module: ILVFP, n: int) -> float:
    """Milliseconds of an optimiser step on a real rollout, as the trainer does it."""
    return best_ms(step_of(module, n))


def step_of(module: ILVFP, n: int) -> Callable[[], None]:
    """An optimiser step on a real rollout, as the trainer does it."""
    env = Encircle(n, num_envs=FRAMES // STEPS, seed=0)
    rollout = env.rollout(STEPS, module.loss.actor).detach()
    module.advantage(rollout)
    module.loss.value_norm.update(rollout["agents", "value_target"])
    batch = rollout.select(*module.loss.batch_keys).reshape(-1)
    optimiser = module.configure_optimizers()

    def step() -> None:
        optimiser.zero_grad()
        terms = module.loss(batch)
        losses = [value for name, value in terms.items() if name.startswith("loss_")]
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 10.0 * n)
        optimiser.step()

    return step


class Clock(L.Callback):
    """Processor time of every iteration."""

    def __init__(self):
        self.seconds = []

    def on_train_epoch_start(self, trainer, module):
        self.start = time.process_time()

    def on_train_epoch_end(self, trainer, module):
        self.seconds.append(time.process_time() - self.start)


def frames_per_s(module: ILVFP, iterations: int = 3) -> float:
    """Frames/s of whole iterations under Lightning: collecting, advantages and all updates."""
    clock = Clock()
    quiet_trainer(iterations, clock).fit(module)
    return FRAMES / min(clock.seconds[1:])


def row(n: int) -> str:
    """A line of the table."""
    steps = []
    for shared in (False, True):
        for learned in (False, True):
            steps.append(step_ms(algorithm(n, learned, shared), n))
    mappo_floor = bound_ms(mappo_products(n, FRAMES, obs=18, state=6, actions=5))
    ilvf_floor = bound_ms(ilvf_products(n, FRAMES, obs=18, state=6, actions=5))
    rates = []
    for shared in (False, True):
        for learned in (False, True):
            rates.append(frames_per_s(algorithm(n, learned, shared, **ONE_MINIBATCH)))
    mappo, ilvf, shared_mappo, shared_ilvf = steps
    fast, slow, shared_fast, shared_slow = rates
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{n:4d} | {mappo:15.1f} {mappo_floor:7.1f} {mappo / mappo_floor:6.2f} |"
        f" {ilvf:6.1f} {ilvf_floor:7.1f} {ilvf / ilvf_floor:6.2f} |"
        f" {shared_mappo:11.1f} {shared_ilvf:7.1f} |"
        f" {fast:25.0f} {slow:7.0f} {fast / slow:6.2f} |"
        f" {shared_fast:11.0f} {shared_slow:7.0f} {shared_fast / shared_slow:6.2f} | {peak:8.2f}"
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, nargs="*", default=[4, 10, 20, 50, 100])
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(f"one thread, {FRAMES} frames in one minibatch, networks of their own for all agents;")
    print("floor: the bare matrix products of a step")
    print(HEAD)
    for n in args.agents:
        print(row(n), flush=True)


if __name__ == "__main__":
    main()
