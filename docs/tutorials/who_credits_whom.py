# %%
# # Who credits whom
#
# Three ways to know whose return an agent's action moves: solve the game exactly, measure it
# by experiment, or learn it. This page is the script `docs/tutorials/who_credits_whom.py`.
# The site runs it when it is built. It takes about 15 seconds on one core.

# %%
# ## Exactly
#
# `chain` is a small game given by tables. The state of agent i enters its own reward and the
# reward of agent i + 1. Row = whose action, column = whose return it moves:

# %%
import functools

import lightning as L
import torch

from ilvf import ILVFP, CategoricalActor, InfluenceCritic, audit, make_env
from ilvf.analysis import visited_states
from ilvf.envs import make_game
from ilvf.envs.names import names_of
from ilvf.reports.matrices import Panel, draw_influence

torch.manual_seed(0)
N = 4
game = make_game("chain", n_agents=N)
exact = game.influence().any(1)[0]  # over all states
print(exact.int())

# %%
# Credit each agent with these returns only, and the policy gradient stays the same
# (Theorem 1 of the paper). The variance of a sample falls. Own returns alone, or the
# transposed matrix, give another gradient.

# %%
truth = game.policy_gradient()
for name, influence in {
    "all agents (MAPPO)": torch.ones(N, N),
    "exact sets (ILVF)": exact,
    "own return (IPPO-C)": torch.eye(N),
    "transposed": exact.mT,
}.items():
    error = (game.local_policy_gradient(influence) - truth).norm() / truth.norm()
    variance = game.gradient_variance(influence).mean()
    print(f"{name:20} error {error:.3f}   variance {variance:.4f}")

# %%
# ## By experiment
#
# The audit needs no tables. From one state it changes the first action of one agent and
# nothing else, plays on with the same random numbers, and compares the returns. A pair that
# is out of reach differs by exactly 0. Here it runs on the same game with an untrained team:

# %%
make_chain = functools.partial(make_env, "tabular", game="chain", n_agents=N)
env = make_chain(num_envs=1)
actor = CategoricalActor(N, env.observation_dim, env.n_actions)
states = visited_states(make_chain(num_envs=32, seed=1), actor)
found = audit(make_chain(num_envs=1024), actor, states, progress=False)
print(found.significant.int())
print("the same as the exact sets:", torch.equal(found.significant, exact))

# %%
# ## Learned
#
# A larger task has no tables, and an audit after every update would be too expensive. There
# the critic learns the influence: an attention over states that is trained by nothing but
# value regression. Six agents on MPE Encircle, after 24 000 frames:

# %%
make = functools.partial(make_env, "encircle", n_agents=6)
env = make(num_envs=1)
actor = CategoricalActor(6, env.observation_dim, env.n_actions)
critic = InfluenceCritic(6, env.state_dim, env.n_actions)
algorithm = ILVFP(make, actor, critic, num_envs=32, eval_every=15)
trainer = L.Trainer(
    max_epochs=15,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(algorithm)
learned = algorithm.attention.T  # rows of the attention belong to critics; credit transposes
print(f"AUROC against the reward graph {algorithm.last_metrics['attention/auroc_reward']:.2f}")

# %%
# The critic has not seen the graph of the rewards. Beside it, what an audit of the trained
# team measures:

# %%
states = visited_states(make(num_envs=16, seed=1), actor)
found = audit(make(num_envs=128), actor, states, actions=2, repeats=4, progress=False)
panels = {
    "reward graph": env.reward_graph.T.float(),
    "learned weight w": learned,
    "measured effect": found.effect / found.effect.max(),
}
agents = names_of(env, 6)
row = [Panel(matrix, title, agents=agents) for title, matrix in panels.items()]
draw_influence([row], "ILVF-P on encircle, n=6").savefig("who_credits_whom.png")

# %%
# ![Reward graph, learned weight and measured effect](who_credits_whom.png)
#
# After so few frames the learned weights are a first guess.
# [The audit](../concepts/audit.md) explains the measurement, and
# [Results: audit](../results/audit.md) compares both after full training.
