"""Do all agents get the same reward? Then their returns cannot tell who did what."""

from tensordict import TensorDictBase

NOTE = (
    "note: all agents have got the same reward in every step so far. If it is the team's, there is "
    "one return, and influence on returns (ILVF, PRD) has little to tell apart; a counterfactual "
    "critic (coma) and a mixed value (qmix) are made for this case"
)


def has_one_reward(rollout: TensorDictBase) -> bool:
    """Whether the rewards `[B, T, N, 1]` of a rollout vary, but never between the agents."""
    reward = rollout["next", "agents", "reward"]
    first = reward[..., :1, :]
    several = reward.shape[-2] > 1
    return several and bool((reward == first).all() & (first != first.flatten()[0]).any())
