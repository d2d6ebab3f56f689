"""Small games given by tables: everything about them can be computed exactly, to test learning.

**Games**: `chain`, `star`, `pairs`, `switch`, `common_cause`, `xor`, `matching`, `gifts`,
`hidden_pairs`, `random` (`ilvf.envs.tabular.games`), or any single `TabularGame` in which all
agents have the same number of actions.

**State** s_i: the local state, one-hot, padded to the largest number of local states.

**Observation**: the one-hot states of all agents, concatenated; those that agent i does not see are
zero and masked.

**Reward**: r_i(s, a) of the state before the step.

**Start**: uniform in the ready-made games.

**End**: truncated after `horizon` steps. The discount of the game is used for its exact values
only.

**Random numbers**: one uniform number per environment and agent at every reset and step, whatever
the actions. The agents' next states are drawn in order, each given those before it, by inverting
its distribution at the agent's own number. Where agents move independently, the next state of one
agent does not depend on the actions or random numbers of the others.

Run `python -m ilvf.envs.tabular [GAME] [KEY=VALUE ...]` to see one.
"""
