"""The rewards of Predator Capture Prey."""

STEP_REWARD = -0.05  # away from the prey, or on it without having captured
PREY_REWARD = 0.05  # on the prey, × or / the number of agents on the cell
SECOND_REWARD = -0.025  # on the prey without having captured, with `second_reward_scheme`


def reward_table(mode: str, n_agents: int, *, second_scheme: bool) -> list[list[float]]:
    """Rewards by the number of agents on an agent's own cell, if it is on a prey.

    Returns:
        Two rows of N + 1 numbers, entry k for k agents, entry 0 for an agent that is not on a prey.
        Row 0: perception agents, and action agents that have captured. Row 1: the other action
        agents.
    """
    numbers = range(1, n_agents + 1)
    on_prey = {
        "mixed": [0.0 for _ in numbers],
        "cooperative": [PREY_REWARD * k for k in numbers],
        "competitive": [PREY_REWARD / k for k in numbers],
    }
    not_captured = SECOND_REWARD if second_scheme else STEP_REWARD
    return [
        [STEP_REWARD, *on_prey[mode]],
        [STEP_REWARD, *[not_captured for _ in numbers]],
    ]
