# %%
# # An experiment from Python
#
# `ilvf.Experiment` is the command line from Python, in a script or a notebook: `run`, `evaluate`,
# `influence` and `resume` are the commands of these names, with the same keys, checks, folders,
# checkpoints and MLflow store. This page is a script, `docs/tutorials/experiment.py`. The site runs
# it when it is built, and everything printed below is what it printed.

# %%
# ## The run
#
# The arguments are what `env=` and `ilvf train` take, and keys of `ilvf train`, dotted or nested.
# A wrong key or value is refused here, in one sentence.

# %%
import ilvf

experiment = ilvf.Experiment(
    task="encircle",
    algorithm="ilvf_p",
    config={
        "env": {"n_agents": 4},
        "algorithm.num_envs": 16,
        "algorithm.eval_every": 5,
        "trainer.max_epochs": 5,
        "trainer.progress": False,
    },
)
try:
    ilvf.Experiment(config={"env.n_agent": 4})
except ilvf.UsageError as error:
    print(error)

# %%
# `run` returns the trained LightningModule.

# %%
module = experiment.run()

# %%
# The run's folder has checkpoints, pictures and the metrics of every iteration:

# %%
columns = ["return/team", "influence/density", "eval/return/team"]
print(experiment.metrics[columns].tail(3).round(2))

# %%
# ## What its team does
#
# `evaluate` plays episodes with the best checkpoint. It returns the metrics that it prints.

# %%
metrics = experiment.evaluate({"algorithm.eval_episodes": 100})

# %%
# `influence` writes a report of the learned influence over an episode into the run's folder.
# `influence.measure` would add the measured one.

# %%
found = experiment.influence({"influence.measure": False, "influence.episodes": 16})

# %%
# ## More iterations
#
# `resume` continues the run in its folder and in its MLflow run:

# %%
experiment.resume({"trainer.max_epochs": 7})
print(len(experiment.metrics), "iterations")

# %%
# ## In a notebook
#
# * *Interrupt* finishes the iteration, saves, and raises `KeyboardInterrupt`. `resume` goes on.
# * In a new session give the run: `experiment.resume(checkpoint="runs/RUN")`, or `"last"` for the
#   newest run.
# * Several seeds (`"seeds": "0-4"`) are processes of their own. Then `run` returns None, and
#   `ilvf compare` compares them.
# * `run` seeds the random generators of this process, as every run does.
