"""TorchRL's A2C on a system whose topology is known, with ILVF.

The lines that end in `# ILVF` are all that ILVF adds. On a ring of ten agents, the reward of every
second agent depends on the places of its two neighbours, whose own rewards do not depend on it.
Each agent is credited with the advantages of the agents whose rewards it enters. The graph is
given, so nothing is learned about influence.

    python examples/a2c_fixed_graph.py     # --plain: each agent learns from its own advantage

Team reward per step (best 0) after 320 k frames, seeds 0 and 1: −4.3, −4.4; --plain −7.9, −13.1.
It starts at −31.
"""

import argparse

import torch
from tensordict.nn import TensorDictModule
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.modules import MultiAgentMLP, ProbabilisticActor
from torchrl.objectives import A2CLoss, ValueEstimators

from ilvf import ILVFAdvantage  # ILVF
from ilvf.envs import Encircle

N = 10
ENVS = 32
NET = dict(n_agents=N, share_params=False, depth=2, num_cells=64, activation_class=torch.nn.Tanh)


def main(argv: list[str] | None = None) -> list[float]:
    """Train, and return the mean team reward per step of each batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=320_000, help="environment steps in all")
    parser.add_argument(
        "--batch", type=int, default=640, help="environment steps per batch, of 32 environments"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without ILVF")
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    env = Encircle(N, num_envs=ENVS, seed=args.seed)

    policy = MultiAgentMLP(env.observation_dim, env.n_actions, centralized=False, **NET)
    actor = ProbabilisticActor(
        TensorDictModule(policy, [("agents", "observation")], [("agents", "logits")]),
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=Categorical,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    mlp = MultiAgentMLP(env.state_dim, 1, centralized=True, **NET)
    value = TensorDictModule(mlp, [("agents", "state")], [("agents", "state_value")])

    loss = A2CLoss(actor, value, entropy_coeff=0.01, critic_coeff=0.5)
    keys = {k: ("agents", k) for k in ("advantage", "value_target", "reward")}
    loss.set_keys(value=("agents", "state_value"), **keys)
    loss.make_value_estimator(
        ValueEstimators.MAGAE, gamma=0.95, lmbda=0.95, average_gae=args.plain
    )  # done is the team's; advantages that are mixed are standardised after that
    if not args.plain:
        moves = env.reward_graph.T.float()  # [i, j]: agent i moves r_j  # ILVF
        loss.make_value_estimator(ILVFAdvantage(loss.value_estimator, influence=moves))  # ILVF

    optimiser = torch.optim.Adam(loss.parameters(), 1e-3)
    collector = Collector(env, actor, frames_per_batch=args.batch, total_frames=args.frames)
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(args.batch),
        sampler=SamplerWithoutReplacement(),
        batch_size=args.batch // 2,
    )
    curve = []
    for batch in collector:
        loss.value_estimator(
            batch,
            params=loss.critic_network_params,
            target_params=loss.target_critic_network_params,
        )
        buffer.extend(batch.reshape(-1))
        for _ in range(2):  # one epoch of two minibatches
            terms = loss(buffer.sample())
            sum(v for k, v in terms.items() if k.startswith("loss_")).backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            optimiser.step()
            optimiser.zero_grad()
        curve.append(batch["next", "agents", "reward"].sum(-2).mean().item())
        if len(curve) % 10 == 0:
            frames = len(curve) * args.batch
            recent = sum(curve[-10:]) / 10
            print(f"{frames:7d} frames   team reward per step {recent:8.2f}")
    collector.shutdown()
    return curve


if __name__ == "__main__":
    main()
