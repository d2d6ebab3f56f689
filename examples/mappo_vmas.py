"""TorchRL's MAPPO on VMAS `navigation`, with continuous actions and ILVF.

The lines that end in `# ILVF` are all that ILVF adds. Each agent is rewarded for reaching its own
goal and punished for collisions, which also depend on the others.

    pip install "ilvf[vmas]"
    python examples/mappo_vmas.py          # --plain: the same pipeline without ILVF

Team reward per step after 180 k frames, seeds 0 and 1: 0.057, 0.054; --plain 0.067, 0.063. ILVF
does not help here.
"""

import argparse

import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.envs import VmasEnv
from torchrl.modules import MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives import ValueEstimators
from torchrl.objectives.multiagent import MAPPOLoss

from ilvf import ActionValueLoss, ILVFAdvantage, InfluenceCritic  # ILVF

try:
    import vmas  # noqa: F401 (TorchRL imports it later, and does not say how to install it)
except ImportError as error:
    raise SystemExit(
        'this example needs the VMAS environments: pip install "ilvf[vmas]"'
    ) from error

N = 4
ENVS = 60
NET = dict(n_agents=N, depth=2, num_cells=64, activation_class=torch.nn.Tanh)


def main(argv: list[str] | None = None) -> list[float]:
    """Train, and return the mean team reward per step of each batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=180_000, help="environment steps in all")
    parser.add_argument(
        "--batch", type=int, default=6000, help="environment steps per batch, of 60 environments"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without ILVF")
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    env = VmasEnv(
        "navigation", num_envs=ENVS, n_agents=N, max_steps=100, seed=args.seed, shared_rew=False
    )
    action = env.full_action_spec["agents", "action"]
    n_obs = env.observation_spec["agents", "observation"].shape[-1]
    n_action = action.shape[-1]

    policy = MultiAgentMLP(n_obs, 2 * n_action, centralized=False, share_params=True, **NET)
    actor = ProbabilisticActor(
        TensorDictModule(
            torch.nn.Sequential(policy, NormalParamExtractor()),
            in_keys=[("agents", "observation")],
            out_keys=[("agents", "loc"), ("agents", "scale")],
        ),
        in_keys=[("agents", "loc"), ("agents", "scale")],
        out_keys=[("agents", "action")],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": action.space.low[0], "high": action.space.high[0]},
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    mlp = MultiAgentMLP(n_obs, 1, centralized=True, share_params=False, **NET)
    value = TensorDictModule(mlp, [("agents", "observation")], [("agents", "state_value")])
    if not args.plain:
        critic = InfluenceCritic(N, n_obs, n_action)  # ILVF
        value = critic.value_module(state_key="observation")  # ILVF

    loss = MAPPOLoss(actor, value, entropy_coeff=0.001)
    keys = {k: ("agents", k) for k in ("advantage", "value_target", "reward")}
    loss.set_keys(value=("agents", "state_value"), **keys)
    loss.make_value_estimator(ValueEstimators.MAGAE, gamma=0.9, lmbda=0.9)  # done is the team's
    if not args.plain:
        loss.make_value_estimator(ILVFAdvantage(loss.value_estimator))  # ILVF
        action_value = ActionValueLoss(critic, state_key="observation")  # ILVF

    optimiser = torch.optim.Adam(loss.parameters(), 1e-3)
    collector = Collector(env, actor, frames_per_batch=args.batch, total_frames=args.frames)
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(args.batch),
        sampler=SamplerWithoutReplacement(),
        batch_size=args.batch // 8,
    )
    curve = []
    for batch in collector:
        loss.value_estimator(
            batch,
            params=loss.critic_network_params,
            target_params=loss.target_critic_network_params,
        )
        buffer.extend(batch.reshape(-1))
        for _ in range(80):  # ten epochs of eight minibatches
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
