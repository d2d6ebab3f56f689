"""PettingZoo parallel environments as batched TorchRL environments, and the other way round.

    make_env("pettingzoo/mpe2.simple_spread_v3", num_envs=32, seed=0, kwargs={"N": 5})
    make_env("pettingzoo/my_package.my_module:make_one", workers=8)
    PettingZoo(lambda: MyParallelEnv(size=3), num_envs=32)

**Agents** are `possible_agents`, in that order, in one group `agents`.

**Actions** must be `Discrete` or a `Box` of floats with finite bounds, one kind for all agents.
Discrete ones are counted from 0, whatever the space's `start` is. Those of a Box are flat, and
padded with zeros to the widest.

**Observations** can have any space that flattens into numbers. They must have its shape; any dtype
of numbers is accepted. They are padded with zeros to the widest one; `observation_mask` is False
where there is padding.

**State** s_i is `infos[agent]["state"]` if the environment provides it, otherwise the observation.
`global_state=True` adds `state()` at the root of the tensordict.

**Action mask**: `action_mask` from the observation or from the info. Actions that an agent does not
have are masked too.

**Reward** r_i is each agent's own.

**End**: an episode ends when no agent is left. It is terminated if all agents were terminated, and
truncated otherwise. `horizon` truncates it after a number of steps.

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
