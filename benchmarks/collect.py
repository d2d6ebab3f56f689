"""Cost of collecting: TorchRL's collector with our actor against a plain loop on preallocated tensors.

    python benchmarks/collect.py            n = 20 agents, 32, 256 and 1024 environments, one thread

The plain loop does what any training needs and nothing else: networks, sampling, log-probabilities, the environment's
step and its reset, written into tensors. All variants run in turn in one process; frames are steps of the whole team.
"""

import argparse

import torch

from gemm import best_ms
from ilvf import CategoricalActor, Encircle
from ilvf.data.rollout import make_collector
from ilvf.experiment.memory import keep_memory
from ilvf.modules.attention import gumbel_like

STEPS = 50


@torch.no_grad()
def plain_loop(env: Encircle, actor: CategoricalActor, steps: int = STEPS):
    """One rollout without TensorDicts between the steps."""
    b, n = env.batch_size[0], env.n_agents
    shapes = dict(
        observation=env.observation_dim, state=env.state_dim, next_observation=env.observation_dim
    )
    store = {
        k: torch.empty(b, steps, n, d) for k, d in {**shapes, "next_state": env.state_dim}.items()
    }
    store |= {k: torch.empty(b, steps, n) for k in ("reward", "log_prob")}
    store["action"] = torch.empty(b, steps, n, dtype=torch.int64)
    store["done"] = torch.empty(b, steps, dtype=torch.bool)
    world, clock = env.initial(), 0
    state, observation = env.observe(world)
    for t in range(steps):
        log_probs = actor.log_probs(observation)
        action = (log_probs + gumbel_like(log_probs)).argmax(-1)
        store["observation"][:, t], store["state"][:, t], store["action"][:, t] = (
            observation,
            state,
            action,
        )
        store["log_prob"][:, t] = log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        world, clock = env.advance(world, action), clock + 1
        store["reward"][:, t] = env.reward(world)
        state, observation = env.observe(world)
        store["next_state"][:, t], store["next_observation"][:, t] = state, observation
        store["done"][:, t] = clock == env.horizon
        if clock == env.horizon:
            world, clock = env.initial(), 0
            state, observation = env.observe(world)
    return store


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--envs", type=int, nargs="*", default=[32, 256, 1024])
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(
        f"one thread, n={args.agents}, {STEPS} steps; ms per step of all environments, and frames/s"
    )
    print("   envs | env._step |  env.step | plain loop | collector | collector / plain | frames/s")
    for b in args.envs:
        env = Encircle(args.agents, num_envs=b, seed=0)
        actor = CategoricalActor(args.agents, env.observation_dim, env.n_actions)
        td = env.rand_action(env.reset())
        raw, full = (
            best_ms(lambda f=f, td=td: [f(td) for _ in range(STEPS)]) / STEPS
            for f in (env._step, env.step)
        )
        plain = best_ms(lambda: plain_loop(env, actor)) / STEPS
        rollouts = iter(make_collector(Encircle(args.agents, num_envs=b, seed=0), actor, STEPS))
        collector = best_ms(lambda: next(rollouts)) / STEPS
        print(
            f"{b:7d} | {raw:9.3f} | {full:9.3f} | {plain:10.3f} | {collector:9.3f} | {collector / plain:17.2f} |"
            f" {1e3 * b / collector:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
