"""Gymnasium environments of a team, such as Level-Based Foraging and RWARE.

    make_env("gymnasium", task="Foraging-8x8-2p-3f-v3", num_envs=32, seed=0)
    make_env("gymnasium", task="rware-tiny-2ag-v2", workers=8)
    make_env("gymnasium", task="my_package.my_module:Task-v0", kwargs={"size": 3})

A team's environment has a `Tuple` of action spaces and a `Tuple` of observation spaces, one per
agent, and `step` returns a list of rewards. It becomes a PettingZoo parallel environment with the
agents `agent_0`, `agent_1`, ...; all else is as `ilvf.envs.pettingzoo` says:
actions, padding, workers, seeds, and one sentence for each fault.

**Task**: a name that is registered in Gymnasium. `module:NAME` imports the module first, which
registers it; the modules of Level-Based Foraging (`ilvf[lbf]`) and RWARE (`ilvf[rware]`) are known.
`kwargs` are the arguments of the environment, and replace those that it is registered with.

**End**: `terminated` and `truncated` are one value for the team, or one per agent, which are equal:
all agents end together. Level-Based Foraging and RWARE report their time limit as a termination.
Here the step that reaches the time limit counts as truncated, whatever the environment says, so its
value is bootstrapped.

**Level-Based Foraging** (Christianos et al. 2020, https://github.com/semitable/lb-foraging): agents
with levels load food. A food is loaded when the levels of those around it that load sum up to its
own. Reward r_i: the agent's level × the food's ÷ (levels of those who load × all food), so that
the rewards of the whole team add up to 1 if all food is loaded.

**RWARE** (Papoudakis et al. 2021, https://github.com/semitable/robotic-warehouse): robots bring
requested shelves to a goal and back. Reward r_i: 1 for each shelf that the robot brings. Random
robots almost never do.

Run `python -m ilvf.envs.gymnasium [TASK] [KEY=VALUE ...]` to print what a task is like.
"""
