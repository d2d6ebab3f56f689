"""TorchRL specs of a batch of PettingZoo environments."""

import torch
from torch import Tensor
from torchrl.data import Binary, Categorical, Composite, Unbounded

from ilvf.envs.pettingzoo.layout import Layout

FLAGS = ("done", "terminated", "truncated")


def first_true(counts: list[int], size: int) -> Tensor:
    """Rows whose first `counts[i]` entries are True, bool `[N, size]`."""
    return torch.arange(size) < torch.tensor(counts).unsqueeze(1)


def observation_mask(layout: Layout) -> Tensor:
    """False where an observation is padding, bool `[N, Do]`."""
    _, size, _, _ = layout.sizes()
    return first_true([agent.size for agent in layout.agents], size)


def observation_spec(
    layout: Layout, copies: int, device: torch.device, *, dying: bool
) -> Composite:
    """What a reset and a step return beside rewards and flags, for B copies."""
    n, observation, state, actions = layout.sizes()

    def numbers(*shape: int) -> Unbounded:
        return Unbounded((copies, *shape), device=device)

    def flags(*shape: int) -> Binary:
        return Binary(shape[-1], (copies, *shape), device=device, dtype=torch.bool)

    agents = Composite(
        observation=numbers(n, observation),
        observation_mask=flags(n, observation),
        state=numbers(n, state),
        shape=(copies, n),
        device=device,
    )
    if layout.masked:
        agents["action_mask"] = flags(n, actions)
    if dying:
        agents["mask"] = flags(n)
    names = ("return", "length", *layout.statistics)
    episode = Composite({name: numbers(1) for name in names}, shape=(copies,), device=device)
    spec = Composite(agents=agents, episode=episode, shape=(copies,), device=device)
    if layout.global_state:
        spec["global_state"] = numbers(layout.global_state)
    return spec


def action_spec(layout: Layout, copies: int, device: torch.device) -> Composite:
    """Actions `[B, N]` int64; random ones do not exceed each agent's number of actions."""
    n, _, _, actions = layout.sizes()
    existing = None
    if layout.masked:
        existing = first_true([agent.actions for agent in layout.agents], actions)
        existing = existing.to(device).expand(copies, n, actions)
    action = Categorical(actions, (copies, n), device=device, dtype=torch.int64, mask=existing)
    return Composite(agents=Composite(action=action, shape=(copies, n)), shape=(copies,))


def reward_spec(layout: Layout, copies: int, device: torch.device) -> Composite:
    """Rewards `[B, N, 1]`."""
    n = len(layout.agents)
    reward = Unbounded((copies, n, 1), device=device)
    agents = Composite(reward=reward, shape=(copies, n))
    return Composite(agents=agents, shape=(copies,), device=device)


def done_spec(copies: int, device: torch.device) -> Composite:
    """`done`, `terminated` and `truncated`, bool `[B, 1]`."""
    flags = {name: Binary(1, (copies, 1), device=device, dtype=torch.bool) for name in FLAGS}
    return Composite(flags, shape=(copies,), device=device)
