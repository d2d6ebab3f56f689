"""How a run presents itself in MLflow: a description, tags to filter by, and its environment."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient
from omegaconf import OmegaConf

from ilvf.algorithms.options import config_of
from ilvf.experiment.config import Config
from ilvf.experiment.folder import run_name, task_name
from ilvf.experiment.membership import membership
from ilvf.experiment.options import training_schema
from ilvf.experiment.saved_view import SETTING
from ilvf.options import one_line, text_of

DESCRIPTION = "mlflow.note.content"  # tag that MLflow shows as the run's description
NOT_REPEATED = (  # keys that do not decide what a run learns, and its seed, which comes last
    "out",
    "preset",
    "resume",
    "seed",
    "seeds",
    "trainer.logger",
    "trainer.animation",
    "trainer.pictures",
    "trainer.save_top_k",
    "trainer.progress",
    "trainer.system_metrics",
)
UNKNOWN = "unknown"  # task of a run without parameters
SYMBOLS = {  # last word of a config key → how the paper writes it
    "n_agents": "n",
    "tau": "τ",
    "gamma": "γ",
    "lmbda": "λ",
}
EVALUATION = "algorithm.eval_"  # begins the keys of evaluations
IN_THE_NAME = ("env.n_agents", "env.task", "algorithm.mixer")  # of a run, in other words
MOST_DETAILS = 4  # of a run's name
LONGEST_DETAIL = 40  # characters of a value in it
LONGEST_COMMAND = 3000  # characters; MLflow's tags have at most 8000
LONGEST_HEADING = 300  # characters of the environment's options
LONGEST_SOURCE = 60_000  # characters of an environment's options; MLflow's limit is 65535


def tags_of(config: Config, folder: Path, frames: int) -> dict[str, str]:
    """The tags of a run, with its description; those of its study count.

    Args:
        config: of the run.
        folder: of the run.
        frames: environment frames at its end.
    """
    member = membership()
    tags = {**labels(config), DESCRIPTION: description_of_run(config, folder, frames)}
    return {**tags, **(member.tags if member is not None else {})}


def labels(config: Config) -> dict[str, str]:
    """The tags by which runs are filtered and grouped."""
    return {
        "algorithm": title_of(config),
        "env": config.env.name,
        "task": task_name(config.env),
        SETTING: name_in_mlflow(config),
    }


def title_of(config: Config) -> str:
    """The algorithm's title; VDN is QMIX with another mixer."""
    title = config_of(config.recipe).title
    return title if run_name(config) == config.recipe else run_name(config).upper()


def mlflow_name(config: Config) -> str:
    """The name of the run in MLflow: of the study, or what it is and its seed."""
    member = membership()
    return member.name if member is not None else f"{name_in_mlflow(config)} · s{config.seed}"


def name_in_mlflow(config: Config) -> str:
    """`ALGORITHM · TASK n=20 · τ=0.5`: the algorithm, the task, and what differs from its defaults.

    At most `MOST_DETAILS` keys are named; the others follow as `…`. Keys of `trainer` and of the
    evaluations are left out: runs that differ in them learn the same.
    """
    task = [task_name(config.env)]
    if "n_agents" in config.env:
        task.append(f"{in_symbols('n_agents')}={config.env.n_agents}")
    details = []
    for key, value in changes(config).items():
        section, _, name = key.partition(".")
        learns = section in ("env", "algorithm") and not key.startswith(EVALUATION)
        if learns and key not in IN_THE_NAME:
            details.append(f"{in_symbols(name)}={one_line(text_of(value))[:LONGEST_DETAIL]}")
    more = ["…"] if len(details) > MOST_DETAILS else []
    return " · ".join([title_of(config), " ".join(task), *details[:MOST_DETAILS], *more])


def in_symbols(key: str) -> str:
    """A config key as figures and names write it: `n`, `τ`, or its own name."""
    return SYMBOLS.get(key, key)


def task_of_params(params: Mapping[str, str]) -> str:
    """The environment, and its task if it has several, from the parameters of an MLflow run."""
    env = {"name": params.get("env.name", UNKNOWN), "task": params.get("env.task")}
    return task_name(env)


# ---------------------------------------------------------------------- descriptions
def description_of_run(config: Config, folder: Path, frames: int) -> str:
    """What a run is, and the commands that repeat and continue it, in Markdown."""
    resume = shlex.join(["ilvf", "train", config.recipe, f"resume={folder}"])
    lines = [
        f"{heading(config)}, seed {config.seed}, {frames} environment frames.",
        about(config),
        f"Repeat: {command_of(config, f'seed={config.seed}')}",
        f"Continue: `{resume}`, with `trainer.max_epochs=...` for more iterations than "
        f"{config.trainer.max_epochs}",
    ]
    return "\n\n".join(lines)


def description_of_seeds(config: Config) -> str:
    """What a set of seeds is, in Markdown."""
    lines = [
        f"{heading(config)}, seeds {one_line(str(config.seeds))}. The runs are below this one.",
        about(config),
        "The metrics are means over the seeds of the last evaluation, once all have finished; "
        "`eval_sd/...` are the standard deviations.",
        f"Repeat: {command_of(config, f'seeds={config.seeds}')}",
    ]
    return "\n\n".join(lines)


def heading(config: Config) -> str:
    """The algorithm and the environment with the options that matter most."""
    options = {"n_agents": config.env.n_agents} if "n_agents" in config.env else {}
    for key, value in changes(config).items():
        section, _, name = key.partition(".")
        if section == "env":
            options[name] = value
    words = ", ".join(f"{name}={text_of(value)}" for name, value in options.items())
    which = f" ({words})" if 0 < len(words) <= LONGEST_HEADING else ""
    return f"**{title_of(config)}** on **{task_name(config.env)}**{which}"


def about(config: Config) -> str:
    """What the algorithm is, and where it comes from."""
    algorithm = config_of(config.recipe)
    source = f" Source: {algorithm.source}." if algorithm.source else ""
    return f"{algorithm.__doc__}{source}"


def command_of(config: Config, *more: str) -> str:
    """The command with every key that differs from its default, as Markdown code."""
    words = [f"{key}={text_of(value)}" for key, value in changes(config).items()]
    command = ["ilvf", "train", config.recipe, f"env={config.env.name}", *words, *more]
    text = shlex.join(command)
    if len(text) > LONGEST_COMMAND:
        return "the keys are in `config.yaml`"
    return f"`{text}`"


def changes(config: Config) -> dict[str, Any]:
    """The keys that determine a run and differ from their defaults."""
    leaves = training_schema(config.recipe).leaves(config.env.name)
    content: Any = OmegaConf.to_container(config)
    changed = {}
    for key, leaf in leaves.items():
        section, _, name = key.rpartition(".")
        value = content[section][name] if section else content[name]
        if key not in NOT_REPEATED and value != leaf.default:
            changed[key] = value
    return changed


# ---------------------------------------------------------------------- the environment
def log_environment(client: MlflowClient, run_id: str, env: Mapping[str, Any]) -> None:
    """Note the environment as the run's data set, so that MLflow groups runs by it.

    The digest is equal exactly if the environment and all its options are equal.
    """
    source = json.dumps(env, sort_keys=True, default=str)
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    data = Dataset(task_name(env), digest, "environment", source[:LONGEST_SOURCE])
    used = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
    client.log_inputs(run_id, [used])
