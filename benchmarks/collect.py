"""Cost of collecting: our collector, TorchRL's own loop, and a plain loop on preallocated tensors.

python benchmarks/collect.py            n = 20 agents, 32, 256 and 1024 environments, one thread

The plain loop does only what any training needs: networks, sampling, log-probabilities, the
environment's step and its reset, all written into tensors. The variants take turns in one process;
each number is the median of a turn's processor time. A frame is one step of the whole team.
"""

import torch
from torch import Tensor
from torchrl.collectors import Collector

from common import argument_parser, processor_ms
from ilvf import CategoricalActor, Encircle
from ilvf.data.rollout import make_collector
from ilvf.experiment.memory import keep_memory
from ilvf.modules.attention import gumbel_like

STEPS = 50
HEAD = (
    "   envs | plain loop | collector | TorchRL's loop | collector / plain | TorchRL / plain |"
    " frames/s"
)


def empty_rollout(env: Encircle, steps: int) -> dict[str, Tensor]:
    """Tensors for a rollout of `steps` steps."""
    copies = env.batch_size[0]
    dims = {"observation": env.observation_dim, "state": env.state_dim}
    store = {}
    for name, dim in dims.items():
        for key in (name, f"next_{name}"):
            store[key] = torch.empty(copies, steps, env.n_agents, dim)
    for name in ("reward", "log_prob"):
        store[name] = torch.empty(copies, steps, env.n_agents)
    store["action"] = torch.empty(copies, steps, env.n_agents, dtype=torch.int64)
    store["done"] = torch.empty(copies, steps, dtype=torch.bool)
    return store


@torch.no_grad()
def plain_loop(env: Encircle, actor: CategoricalActor, steps: int = STEPS) -> dict[str, Tensor]:
    """One rollout without TensorDicts between the steps."""
    store = empty_rollout(env, steps)
    world = env.initial()
    clock = 0
    state, observation = env.observe(world)
    for t in range(steps):
        log_probs = actor.log_probs(observation)
        action = (log_probs + gumbel_like(log_probs)).argmax(-1)
        store["observation"][:, t] = observation
        store["state"][:, t] = state
        store["action"][:, t] = action
        store["log_prob"][:, t] = log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        world = env.advance(world, action)
        clock += 1
        store["reward"][:, t] = env.reward(world)
        state, observation = env.observe(world)
        store["next_state"][:, t] = state
        store["next_observation"][:, t] = observation
        store["done"][:, t] = clock == env.horizon
        if clock == env.horizon:
            world = env.initial()
            clock = 0
            state, observation = env.observe(world)
    return store


def torchrl_loop(env: Encircle, actor: CategoricalActor) -> Collector:
    """TorchRL's collector with its own loop, without what costs time in every step."""
    return Collector(
        env,
        actor,
        frames_per_batch=env.batch_size[0] * STEPS,
        total_frames=-1,
        device=env.device,
        trust_policy=True,
        track_traj_ids=False,
        use_buffers=False,
        no_cuda_sync=True,
        auto_register_policy_transforms=False,
    )


def row(agents: int, copies: int, turns: int) -> str:
    """A line of the table."""
    env = Encircle(agents, num_envs=copies, seed=0)
    actor = CategoricalActor(agents, env.observation_dim, env.n_actions)
    ours = iter(make_collector(Encircle(agents, num_envs=copies, seed=0), actor, STEPS))
    theirs = iter(torchrl_loop(Encircle(agents, num_envs=copies, seed=0), actor))
    runs = (lambda: plain_loop(env, actor), lambda: next(ours), lambda: next(theirs))
    plain, collector, torchrl = (ms / STEPS for ms in processor_ms(runs, turns))
    return (
        f"{copies:7d} | {plain:10.3f} | {collector:9.3f} | {torchrl:14.3f} |"
        f" {collector / plain:17.2f} | {torchrl / plain:15.2f} | {1e3 * copies / collector:8.0f}"
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--envs", type=int, nargs="*", default=[32, 256, 1024])
    parser.add_argument("--turns", type=int, default=15)
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(f"one thread, n={args.agents}, {STEPS} steps; ms per step of all environments, frames/s")
    print(HEAD)
    for copies in args.envs:
        print(row(args.agents, copies, args.turns), flush=True)


if __name__ == "__main__":
    main()
