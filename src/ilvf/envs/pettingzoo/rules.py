"""Rules on who is in an episode, who leaves it, and whom the results are about.

Imports no torch.
"""

from collections.abc import Collection, Mapping

from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.declared import agent_names, present_agents
from ilvf.envs.pettingzoo.faults import ProtocolError, name_list
from ilvf.envs.pettingzoo.layout import Agent
from ilvf.envs.pettingzoo.results import Values, require_agents, require_no_lost_reward

Team = list[tuple[int, Agent]]  # agents with their indices


def require_whole_team(env: ParallelEnv, names: Collection[str]) -> None:
    """After a reset `agents` must be all of `possible_agents`, which must not change.

    Args:
        env: after a reset.
        names: `possible_agents` at the start.
    """
    possible = agent_names(env)
    if possible != list(names):
        raise ProtocolError(
            f"possible_agents is now {name_list(possible)}, and was {name_list(names)}; it must "
            "not change"
        )
    present = present_agents(env)
    if set(present) != set(names):
        raise ProtocolError(
            f"agents is {name_list(present)} after reset, need all of possible_agents, "
            f"{name_list(possible)}"
        )


def require_known(results: Mapping[str, Values], living: Team, names: Collection[str]) -> None:
    """No entry may belong to something that is no agent, and no reward may get lost.

    Args:
        results: "rewards", "observations", ... → values by agent.
        living: agents that were in the episode before the step.
        names: all agents.
    """
    for kind, values in results.items():
        if len(values) <= len(living):
            continue  # an entry that is missing is found when it is read
        require_agents(values, kind, names)
        if kind == "rewards":
            require_no_lost_reward(values, {agent.name for _, agent in living})


def require_expected_agents(env: ParallelEnv, living: Team, remaining: Team) -> None:
    """No agent may appear, and none may leave without being terminated or truncated.

    Args:
        env: after a step.
        living: agents that were in the episode before it.
        remaining: those of them whom it did not end.
    """
    expected = [agent.name for _, agent in remaining]
    if type(env.agents) is list and env.agents == expected:
        return
    found = set(present_agents(env))
    new = found - {agent.name for _, agent in living}
    if new:
        raise ProtocolError(
            f"agents has {name_list(new)} now, not there before the step; an agent can only come "
            "in a reset"
        )
    left = set(expected) - found
    if left:
        raise ProtocolError(f"agents lost {name_list(left)} without a termination or truncation")
    stale = found - set(expected)
    if remaining and stale:
        raise ProtocolError(
            f"agents still has {name_list(stale)}, which this step ended; remove it there"
        )


def require_joint_end(terminated: Team, truncated: Team, remaining: Team) -> None:
    """Without `dying`, all agents end in the same step and in the same way."""
    if remaining:
        raise ProtocolError(
            f"the episode ended for {_names(terminated + truncated)} and goes on for "
            f"{_names(remaining)}; dying=true says that agents can die"
        )
    if terminated and truncated:
        raise ProtocolError(
            f"the episode is terminated for {_names(terminated)} and truncated for "
            f"{_names(truncated)}; dying=true keeps them apart"
        )


def _names(team: Team) -> str:
    return name_list(agent.name for _, agent in team)
