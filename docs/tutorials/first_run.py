# %%
# # First run
#
# This page trains a team, evaluates it and acts with it, from Python. It is a script,
# `docs/tutorials/first_run.py`. The site runs it when it is built, and everything printed
# below is what it printed. It takes about 10 seconds on one core.
#
# The command `ilvf train ilvf_p env.n_agents=6` does the same with more frames, and adds
# checkpoints, a progress bar and a record in MLflow ([first steps](../start/first_steps.md)).

# %%
# ## The task
#
# Six agents surround a target in ring order (MPE Encircle). Each agent has its own reward.
# The team maximises the sum.

# %%
import functools

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.loggers import CSVLogger
from matplotlib.figure import Figure

from ilvf import ILVFP, CategoricalActor, InfluenceCritic, check_env, load_policy, make_env

torch.manual_seed(0)
make = functools.partial(make_env, "encircle", n_agents=6)
print(check_env(make(num_envs=2)))

# %%
# ## The parts
#
# The actor has one network per agent. The critic has V, Q and the attention between them.
# `ILVFP` is a LightningModule that puts them together.

# %%
env = make(num_envs=1)
actor = CategoricalActor(env.n_agents, env.observation_dim, env.n_actions)
critic = InfluenceCritic(env.n_agents, env.state_dim, env.n_actions)
algorithm = ILVFP(make, actor, critic, num_envs=32, eval_every=15, eval_deterministic=False)

# %%
# ## Training
#
# One epoch of the trainer is one iteration: collect 32 × 50 frames, estimate advantages,
# take the optimiser steps. Any Lightning logger records the metrics.

# %%
logger = CSVLogger("runs", name="first_run")
trainer = L.Trainer(
    max_epochs=15,
    accelerator="cpu",
    logger=logger,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(algorithm)
logger.save()
print(f"frames             {algorithm.frames}")
print(f"team return        {algorithm.last_metrics['eval/return/team']:.1f}")
print(f"mean r per step    {algorithm.last_metrics['eval/reward/agent_step']:.3f}")

# %%
# The team's return rises:

# %%
curve = pd.read_csv(f"{logger.log_dir}/metrics.csv")
figure = Figure(figsize=(6, 3), layout="constrained")
axes = figure.subplots()
axes.plot(curve["step"], curve["return/team"])
axes.set_xlabel("frames")
axes.set_ylabel("team return")
figure.savefig("first_run.png")

# %%
# ![Team return against frames](first_run.png)
#
# ## Acting with the trained team
#
# A checkpoint holds the networks and the configuration. `load_policy` gives a plain
# function from observations to actions.

# %%
trainer.save_checkpoint("team.ckpt")
policy = load_policy("team.ckpt")

rollout = make(num_envs=32, seed=1).reset()
observation = rollout["agents", "observation"]
print(tuple(observation.shape), "->", tuple(policy(observation).shape))
print("actions of the first copy", policy(observation)[0].tolist())
