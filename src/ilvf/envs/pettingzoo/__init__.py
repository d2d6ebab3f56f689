"""PettingZoo parallel environments as batched TorchRL environments, and the other way round.

    make_env("pettingzoo/mpe2.simple_spread_v3", num_envs=32, seed=0, kwargs={"N": 5})
    make_env("pettingzoo/my_package.my_module:make_one", workers=8)
    PettingZoo(lambda: MyParallelEnv(size=3), num_envs=32)

**Agents** are `possible_agents`, in that order, in one group `agents`.

**Actions** must be `Discrete`, `MultiDiscrete` or `MultiBinary`, or of all agents a `Box` of floats
with finite bounds. Choices are counted from 0, whatever the space's `start` is. If some agent has
several choices, an action is a vector of D indices for all, padded with components of one choice;
a `Discrete` one is the first component. Actions of a Box are flat, and padded with zeros to the
widest.

**Observations** can have any space that flattens into numbers, in the order of Gymnasium's
`flatten`. They must have its shape; any dtype of numbers is accepted. If all agents have one Box
with three axes at the same place, `observation_image` says where. If all have the same sets of
entities, in a Dict as NAME [K, F] and NAME_mask [K], `observation_sets` does. A Sequence of vectors
is such a set, padded to `entities` vectors. Observations are padded with zeros to the widest one;
`observation_mask` is False where there is padding.

**State** s_i is `infos[agent]["state"]` if the environment provides it, otherwise the observation.
`global_state=True` adds `state()` at the root of the tensordict.

**Action mask**: `action_mask` from the observation or from the info. That of several choices has
the flags of all components side by side, or is a tuple of one array per component. `Discrete`
actions that an agent does not have are masked too.

**Reward** r_i is each agent's own.

**End**: an episode ends when no agent is left. It is truncated if an agent is truncated in this
last step, whose value then counts, and terminated otherwise. `horizon` truncates it after a number
of steps.

**Death**: with `dying=True` agents may end before the others. `("agents", "mask")` is True for the
living; the dead have zero observations and zero reward. An agent that is truncated before the
others keeps its last observation as its next observation. `("next", "agents", "bootstrap")` is True
where the value of the next observation counts: for agents that go on, and for those that are
truncated in this step.

**Errors**: whatever an environment raises or returns against the rules becomes a `UsageError`: one
sentence with the environment, the copy, the step and the agent.

**Statistics**: if the environment has `episode_statistics()` (name → number, of the episode so
far), these are written beside `return` and `length`.

**Seeds**: copy k gets the seed `seed + 100 003 k` at its first reset, and no seed after that. The
state of such an environment cannot be saved: a resumed run starts new episodes with other seeds.

Run `python -m ilvf.envs.pettingzoo [TASK] [KEY=VALUE ...]` to print what a task is like.
"""
