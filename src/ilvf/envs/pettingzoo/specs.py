"""TorchRL specs of a batch of PettingZoo environments."""

import torch
from torch import Tensor
from torchrl.data import Binary, Categorical, Composite, Unbounded

from ilvf.envs.pettingzoo.layout import Layout
from ilvf.envs.specs import TeamSpecs
from ilvf.modules.actions import Actions, Box, Choices, MultiChoices


def team_specs(layout: Layout, copies: int, device: torch.device) -> TeamSpecs:
    """Specs that follow from the sizes of an environment alone."""
    n_agents, observation_dim, state_dim, _ = layout.sizes()
    return TeamSpecs(
        num_envs=copies,
        n_agents=n_agents,
        actions=actions_of(layout),
        observation_dim=observation_dim,
        state_dim=state_dim,
        device=device,
    )


def actions_of(layout: Layout) -> Actions:
    """What the agents can do."""
    team = layout.acting
    if team.continuous:
        return Box(*team.bounds())
    return MultiChoices(team.counts) if team.several else Choices(team.size)


def observation_spec(layout: Layout, team: TeamSpecs, *, dying: bool) -> Composite:
    """What a reset and a step return beside rewards and flags."""
    shape = team.team_shape
    agents = team.agents(masked=layout.masked)
    if dying:
        for name in ("mask", "bootstrap"):
            agents[name] = Binary(team.n_agents, shape, device=team.device, dtype=torch.bool)
    episode = team.episode(("return", "length", *layout.statistics))
    spec = Composite(agents=agents, episode=episode, shape=(team.num_envs,), device=team.device)
    if layout.global_state:
        size = (team.num_envs, layout.global_state)
        spec["global_state"] = Unbounded(size, device=team.device)
    return spec


def action_spec(layout: Layout, team: TeamSpecs) -> Composite:
    """Actions `[B, N]`, `[B, N, D]` or `[B, N, A]`; random ones exist for their agent."""
    spec = team.action()
    if layout.masked and not layout.acting.several:
        existing = torch.from_numpy(layout.acting.existing).to(team.device)
        spec["agents", "action"] = Categorical(
            team.actions.width,
            team.team_shape,
            device=team.device,
            dtype=torch.int64,
            mask=existing.expand(*team.team_shape, team.actions.width),
        )
    return spec


def observation_mask(layout: Layout) -> Tensor:
    """False where an observation is padding, bool `[N, Do]`."""
    _, size, _, _ = layout.sizes()
    return first_true([agent.size for agent in layout.agents], size)


def first_true(counts: list[int], size: int) -> Tensor:
    """Rows whose first `counts[i]` entries are True, bool `[N, size]`."""
    return torch.arange(size) < torch.tensor(counts).unsqueeze(1)
