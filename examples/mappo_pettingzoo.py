"""TorchRL's MAPPO on PettingZoo's `simple_spread`, with ILVF.

The six lines that end in `# ILVF` are all that ILVF adds. Three agents cover three landmarks. Half
of each reward is the team's, half punishes the agent's own collisions.

    pip install "ilvf[mpe]"
    python examples/mappo_pettingzoo.py    # --plain: the same pipeline without ILVF

Team reward per step after 60 k frames, seeds 0 and 1: −2.51, −2.53; --plain −2.57, −2.57.
It starts at −3.3.
"""

import argparse

import torch
from tensordict.nn import TensorDictModule
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.envs import PettingZooWrapper
from torchrl.modules import MultiAgentMLP, ProbabilisticActor
from torchrl.objectives import ValueEstimators
from torchrl.objectives.multiagent import MAPPOLoss

from ilvf import ActionValueLoss, ILVFAdvantage, InfluenceCritic  # ILVF

try:
    from mpe2 import simple_spread_v3
except ImportError as error:
    raise SystemExit('this example needs the MPE environments: pip install "ilvf[mpe]"') from error

N = 3
NET = dict(n_agents=N, share_params=False, depth=2, num_cells=64, activation_class=torch.nn.Tanh)


def main(argv: list[str] | None = None) -> list[float]:
    """Train, and return the mean team reward per step of each batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60_000, help="environment steps in all")
    parser.add_argument("--batch", type=int, default=2000, help="environment steps per batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without ILVF")
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    world = simple_spread_v3.parallel_env(N=N, max_cycles=25)
    env = PettingZooWrapper(world, group_map={"agents": world.possible_agents}, seed=args.seed)
    n_obs = env.observation_spec["agents", "observation"].shape[-1]
    n_actions = env.full_action_spec["agents", "action"].space.n

    policy = MultiAgentMLP(n_obs, n_actions, centralized=False, **NET)
    actor = ProbabilisticActor(
        TensorDictModule(policy, [("agents", "observation")], [("agents", "logits")]),
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=Categorical,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    mlp = MultiAgentMLP(n_obs, 1, centralized=True, **NET)
    value = TensorDictModule(mlp, [("agents", "observation")], [("agents", "state_value")])
    if not args.plain:
        critic = InfluenceCritic(N, n_obs, n_actions)  # ILVF
        value = critic.value_module(state_key="observation")  # ILVF

    loss = MAPPOLoss(actor, value, entropy_coeff=0.01)
    keys = {k: ("agents", k) for k in ("advantage", "value_target", "reward", "done", "terminated")}
    loss.set_keys(value=("agents", "state_value"), **keys)
    loss.make_value_estimator(ValueEstimators.GAE, gamma=0.95, lmbda=0.95)
    if not args.plain:
        loss.make_value_estimator(ILVFAdvantage(loss.value_estimator))  # ILVF
        action_value = ActionValueLoss(critic, state_key="observation")  # ILVF

    optimiser = torch.optim.Adam(loss.parameters(), 1e-3)
    collector = Collector(env, actor, frames_per_batch=args.batch, total_frames=args.frames)
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(args.batch),
        sampler=SamplerWithoutReplacement(),
        batch_size=args.batch // 4,
    )
    curve = []
    for batch in collector:
        loss.value_estimator(
            batch,
            params=loss.critic_network_params,
            target_params=loss.target_critic_network_params,
        )
        buffer.extend(batch.reshape(-1))
        for _ in range(40):  # ten epochs of four minibatches
            minibatch = buffer.sample()
            terms = loss(minibatch)
            if not args.plain:
                terms.update(action_value(minibatch))  # ILVF
            sum(v for k, v in terms.items() if k.startswith("loss_")).backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            optimiser.step()
            optimiser.zero_grad()
        curve.append(batch["next", "agents", "reward"].sum(-2).mean().item())
        frames = len(curve) * args.batch
        print(f"{frames:7d} frames   team reward per step {curve[-1]:7.3f}")
    collector.shutdown()
    return curve


if __name__ == "__main__":
    main()
