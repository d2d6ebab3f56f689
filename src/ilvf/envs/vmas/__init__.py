"""VMAS scenarios: robots in the plane, simulated as one batch by PyTorch.

    make_env("vmas", task="navigation", num_envs=32, seed=0, kwargs={"n_agents": 4})

VMAS (Bettini et al. 2022, https://github.com/proroklab/VectorizedMultiAgentSimulator) steps all
`num_envs` copies together, on the device of the run. There are no worker processes.

**Task**: any scenario of VMAS, such as `navigation`, `balance` or `transport`. `kwargs` are the
arguments of the scenario; those that it does not have are refused.

**Actions**: VMAS's discrete actions. A robot has 9: none, or a force in one of eight directions. An
agent that can speak has one action for each pair of a force and a word.

**Observation** o_i: what the scenario gives agent i, padded with zeros to the widest. **State** s_i
is the observation.

**Reward** r_i: what the scenario gives agent i. In many scenarios (`balance`, `transport`, ...) all
agents get the same number. `navigation` does that too, unless `kwargs.shared_rew=false`.

**End**: terminated when the scenario says so; truncated after `horizon` steps.

**Random numbers**: the simulator draws from the environment's own generator. It neither reads nor
moves the random numbers that VMAS keeps for all environments of a process.

**Saved states** hold all tensors of the simulator that have one row per copy, so a run is resumed
exactly, and teams can be audited. The end of an episode replaces the rows of its copy. Scenarios
that keep something else, for all copies at once, are refused: in `simple_reference`, for example,
a reset chooses one landmark for the whole batch.

Which agent depends on which is not known, so there are no graphs.

Run `python -m ilvf.envs.vmas [TASK] [KEY=VALUE ...]` to see one.
"""

from ilvf.envs.vmas.env import Vmas

__all__ = ["Vmas"]
