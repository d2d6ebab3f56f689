"""Predator Capture Prey (PCP): some agents see, others capture (paper, Sec. 5.1 and App. B.1).

P perception agents and A action agents (4 + 4, in this order) walk on a D×D grid (10×10) toward a
prey. Perception agents see the cells around them and cannot capture. Action agents capture and are
blind; they find the prey by what perception agents send them. Agents do not block each other. An
agent that has reached a prey stays there until the episode ends.

**Actions** (6): 0 up (row − 1), 1 right (column + 1), 2 down, 3 left, 4 stay, 5 capture. Agents
cannot leave the grid. Action 5 has an effect for action agents on the cell of a prey; it is masked
for perception agents, for which it does nothing.

**State** s_i (7 numbers): row and column / (D − 1) (0 to 1); role (0 perception, 1 action); has
reached a prey (0 or 1); has captured (0 or 1); row and column of the nearest prey − own, / (D − 1)
(−1 to 1; nearest in steps, the first one of several at the same distance).

**Observation**: W = (2v+1)² cells are in the window of an agent, v = `vision`. An observation is
the agent's own part of 5 + 4W numbers, and the same part of every agent that it receives from.

| numbers | meaning | range |
|---|---|---|
| 0 to 4 | the first five of the state | 0 to 1 |
| 5 to 4 + W | prey in each cell of the window, row by row, itself in the middle | 0, 1, ... |
| 5 + W to 4 + 2W | perception agents in each cell | 0, 1, ... |
| 5 + 2W to 4 + 3W | action agents in each cell | 0, 1, ... |
| 5 + 3W to 4 + 4W | is the cell outside of the grid? | 0, 1 |
| from 5 + 4W | the same 5 + 4W numbers of each sender, in order of their indices | |

What an agent cannot see, and the places of absent senders, are 0 and masked in `observation_mask`.
With `encoding="reference"` the agent's own part is the window of the reference instead: for each
cell a one-hot index (D²), action agents, outside, prey, perception agents; what the agent cannot
see is −1 and not masked. Parts of senders stay as above. The own window is an image, which
`algorithm.images=cnn` reads by convolutions.

**Communication** (`graph`): with `paired` (default), perception agents receive from their two
neighbours on a ring, and action agent k from perception agents k and k + 1. With `bipartite_pairs`
action agent k receives from perception agent k. Also `full`, `none`, or any `[N, N]` matrix of
booleans, row = receiver (`ilvf.envs.capture_prey.graphs`).

**Reward**, on the state after the step: −0.05 away from the prey. On the prey 0 (`mode="mixed"`),
+0.05 × the number of agents on the same cell (`cooperative`) or +0.05 / that number
(`competitive`). An action agent on the prey that has not captured gets −0.05 (−0.025 with
`second_reward_scheme`).

**Start**: agents and prey on different cells, uniformly.

**End**: in `mixed` terminated when all agents have reached a prey and all action agents have
captured; otherwise truncated after `horizon` steps. (This joint end does not couple the agents'
returns: after it all rewards would be 0.)

**Several prey** (`n_prey`): agents can reach and capture any of them, and any number of agents can
capture the same one. **Moving prey** (`prey_policy="random"`): in every step, before the agents
move, each prey without an agent on it makes one of the moves 0 to 4 that stay on the grid, all
equally likely.

**Statistics**: `success` (0 or 1: all agents have reached a prey, all action agents have captured;
in every mode, in the reference only in `mixed`), `reached` (share of agents), `captured` (share of
action agents).

**Graphs** of this implementation. Any agent can enter the window of a perception agent, so the
observation graph is full, except for the rows of action agents that receive from no perception
agent. (What the paper calls observation topology is `communication_graph`.) An agent's next state
depends on itself alone, or on all if prey move, because a prey stops for any agent. (The paper
calls this coupling fully connected.) A reward depends on the agent alone in `mixed`, and on all in
the other modes.

**Differences from the reference**, HetNet's `predator_capture`, whose moves, rewards and windows
are reproduced. In the reference, blinding an action agent also erases (−1) the cells around it from
the windows of perception agents, mostly with the prey; `leak=True` does the same, for comparison
with published numbers. The reference cannot capture any of several prey, and its prey do not move.

**Choices where the paper is silent**: 10×10 cells, vision 2, 80 steps, one prey, `mixed`, the
compact observation, the graph `paired`.

**Rule** `seek` knows where the prey is, and always succeeds if it does not move: an upper limit for
learned policies (`ilvf evaluate policy=seek env=capture_prey`).

Run `python -m ilvf.envs.capture_prey [KEY=VALUE ...]` to see it.
"""
