"""Two groups of agents with their own policies, credited as one team.

The lines that end in `# ILVF` are all that ILVF has in it. On VMAS `navigation`, two couriers and
three scouts each go to their own goal and are punished for collisions, also with those of the other
group. One `InfluenceCritic` reads the observations of all five. TorchRL's MAPPO has one loss for
each group; the influence is one matrix over both, so that a scout is credited with the collisions
that it spares the couriers.

    pip install "ilvf[vmas]"
    python examples/two_groups.py

Team reward per step after 60 k frames, seed 0: 0.02. It starts at −0.06.
"""

import argparse

import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.envs import VmasEnv
from torchrl.modules import MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import MultiAgentGAE

from ilvf import ActionValueLoss, ILVFAdvantage, InfluenceCritic  # ILVF

try:
    import vmas  # noqa: F401 (TorchRL imports it later, and does not say how to install it)
except ImportError as error:
    raise SystemExit(
        'this example needs the VMAS environments: pip install "ilvf[vmas]"'
    ) from error

GROUPS = {"couriers": ["agent_0", "agent_1"], "scouts": ["agent_2", "agent_3", "agent_4"]}
N = 5
ENVS = 60
NET = dict(depth=2, num_cells=64, activation_class=torch.nn.Tanh)


def policy(env: VmasEnv, group: str) -> ProbabilisticActor:
    """A policy with shared parameters for the agents of a group."""
    observation = env.observation_spec[group, "observation"]
    action = env.full_action_spec[group, "action"]
    sizes = dict(n_agents=len(GROUPS[group]), centralized=False, share_params=True)
    net = MultiAgentMLP(observation.shape[-1], 2 * action.shape[-1], **sizes, **NET)
    return ProbabilisticActor(
        TensorDictModule(
            torch.nn.Sequential(net, NormalParamExtractor()),
            in_keys=[(group, "observation")],
            out_keys=[(group, "loc"), (group, "scale")],
        ),
        in_keys=[(group, "loc"), (group, "scale")],
        out_keys=[(group, "action")],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": action.space.low[0], "high": action.space.high[0]},
        return_log_prob=True,
        log_prob_key=(group, "action_log_prob"),
    )


def main(argv: list[str] | None = None) -> list[float]:
    """Train, and return the mean team reward per step of each batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60_000, help="environment steps in all")
    parser.add_argument(
        "--batch", type=int, default=3000, help="environment steps per batch, of 60 environments"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    options = dict(n_agents=N, max_steps=100, shared_rew=False, group_map=GROUPS)
    env = VmasEnv("navigation", num_envs=ENVS, seed=args.seed, **options)
    n_obs = env.observation_spec["couriers", "observation"].shape[-1]
    n_action = env.full_action_spec["couriers", "action"].shape[-1]
    actors = {group: policy(env, group) for group in GROUPS}

    critic = InfluenceCritic(N, n_obs, n_action)  # ILVF
    value = critic.value_module(list(GROUPS), state_key="observation")  # ILVF
    gae = MultiAgentGAE(gamma=0.9, lmbda=0.9, value_network=None)
    advantage = ILVFAdvantage(gae, value, group=list(GROUPS))  # ILVF
    action_value = ActionValueLoss(critic, group=list(GROUPS), state_key="observation")  # ILVF
    losses = torch.nn.ModuleList([action_value])
    for group, actor in actors.items():
        loss = MAPPOLoss(actor, value, entropy_coeff=0.001)
        keys = {k: (group, k) for k in ("advantage", "value_target", "reward")}
        loss.set_keys(value=(group, "state_value"), **keys)
        losses.append(loss)

    optimiser = torch.optim.Adam(losses.parameters(), 3e-4)  # the critic, which they share, once
    behaviour = TensorDictSequential(*actors.values())
    collector = Collector(env, behaviour, frames_per_batch=args.batch, total_frames=args.frames)
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(args.batch),
        sampler=SamplerWithoutReplacement(),
        batch_size=args.batch // 8,
    )
    curve = []
    for batch in collector:
        buffer.extend(advantage(batch).reshape(-1))
        for _ in range(80):  # ten epochs of eight minibatches
            minibatch = buffer.sample()
            for loss in losses:
                terms = loss(minibatch)
                sum(v for k, v in terms.items() if k.startswith("loss_")).backward()
            torch.nn.utils.clip_grad_norm_(losses.parameters(), 10.0)
            optimiser.step()
            optimiser.zero_grad()
        rewards = [batch["next", group, "reward"].sum(-2).mean() for group in GROUPS]
        curve.append(sum(rewards).item())
        frames = len(curve) * args.batch
        print(f"{frames:7d} frames   team reward per step {curve[-1]:7.3f}")
    collector.shutdown()
    return curve


if __name__ == "__main__":
    main()
