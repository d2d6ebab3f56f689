"""Evaluate a trained team again, or a rule, and draw an episode.

ilvf evaluate checkpoint=runs/RUN                        a run's folder: its best checkpoint
ilvf evaluate checkpoint=PATH algorithm.eval_episodes=100 seed=1
ilvf evaluate checkpoint=zoo:encircle-20                 a team that comes with the package
ilvf evaluate policy=random env=encircle env.n_agents=10 no checkpoint: the floor of every table

Keys of env.* are those of the run that made the checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilvf.algorithms.options import check_temperature
from ilvf.commands.checkpointed import CheckpointOptions
from ilvf.commands.picture import writing
from ilvf.errors import UsageError, require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import Config
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option, shown
from ilvf.reports.options import MOST


@dataclass
class EvaluateOptions(CheckpointOptions):
    """What is evaluated."""

    policy: str | None = option(
        None, "instead of a checkpoint: random, or a rule of the environment"
    )
    animation: bool = option(
        True,
        "draw the first episode as a GIF too, where the environment can: 1 to 2 s",
    )


@dataclass
class EpisodeOptions(Options):
    """The episodes."""

    eval_episodes: int = option(32, "episodes, run side by side", least=1, most=MOST)
    eval_steps: int | None = option(
        None, "the longest episode, by default the environment's horizon", least=1, most=MOST
    )
    eval_deterministic: bool = option(True, "the most likely actions; false samples")
    eval_temperature: float = option(
        1.0, "of sampled actions, π^(1/T); below 1 is more certain, 1 the policy itself", above=0
    )

    def check(self) -> None:
        super().check()
        check_temperature(self.eval_temperature, self.eval_deterministic, "eval_")


SCHEMA = Schema("evaluate", __doc__, EvaluateOptions, {"algorithm": EpisodeOptions}, env="encircle")


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate as the arguments say."""
    evaluation(command_line(SCHEMA, arguments))


def evaluation(config: Config) -> dict[str, float]:
    """Evaluate as the config says; prints the metrics, and draws the first episode.

    Returns:
        the metrics.
    """
    given = [key for key in ("checkpoint", "policy") if config[key] is not None]
    require(
        len(given) == 1,
        "give checkpoint=PATH, a file or a run's folder, or policy=NAME, and not both",
    )
    import torch

    from ilvf.checkpoints.zoo import FOLDER
    from ilvf.data.evaluation import evaluate, evaluation_seed
    from ilvf.envs.wrapped import set_to_evaluate
    from ilvf.experiment.build import environment_factory
    from ilvf.experiment.folder import make_folder
    from ilvf.modules.actors.tempered import tempered

    episodes = config.algorithm
    make_env = environment_factory(config)
    env = make_env(num_envs=episodes.eval_episodes, seed=evaluation_seed(config.seed))
    set_to_evaluate(env)
    torch.manual_seed(config.seed)
    if config.checkpoint is not None:
        source = Path(config.checkpoint)
        actor = tempered(trained_actor(env, source), episodes.eval_temperature)
    else:
        source = Path(config.out) / f"{config.policy}-{config.env.name}"
        actor = rule(env, config.policy)
    of_run = config.checkpoint is not None and source.parent != FOLDER
    folder = source.parent if of_run else Path(config.out)
    if not of_run:
        make_folder(folder, f"out={config.out}")
    metrics, rollout = evaluate(
        env,
        actor,
        max_steps=episodes.eval_steps or env.horizon,
        deterministic=episodes.eval_deterministic,
        seed=evaluation_seed(config.seed),
    )
    print(f"{episodes.eval_episodes} episodes of {config.env.name}, {source}")
    for name, value in metrics.items():
        print(f"  {name:<24}{value:12.4f}")
    picture = folder / f"{source.stem}-episode.png"
    files = draw(env, rollout, picture, animation=config.animation)
    if of_run and files:
        add_pictures(source, files)
    return metrics


def trained_actor(env: Any, path: Path) -> Any:
    """The actor of a checkpoint, which must fit the environment."""
    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.checkpoints.policy import actor_of
    from ilvf.modules import actions_of

    actor = actor_of(read_checkpoint(path), f"checkpoint {path}")
    sizes = {
        "n_agents": env.n_agents,
        "observation_dim": env.observation_dim,
        **actions_of(env).arguments,
    }
    same = all(actor.arguments.get(name) == size for name, size in sizes.items())
    fits = same and has_inputs(env, actor)
    require(fits, f"checkpoint {path} was trained for another environment; leave out env.*")
    return actor


def has_inputs(env: Any, actor: Any) -> bool:
    """Whether the environment has everything that the actor reads."""
    from ilvf.data.rollout import with_memory

    keys = with_memory(env, actor).observation_spec.keys(include_nested=True)
    return all(key in keys for key in actor.in_keys)


def rule(env: Any, name: str) -> Any:
    """The random policy, or one of the environment's rules (`env.rules`)."""
    from ilvf.modules import RandomActor, actions_of

    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    rules = {"random": lambda: RandomActor(actions_of(env), masked=masked)}
    rules |= getattr(env, "rules", {})
    require(
        name in rules, f"policy={shown(name)} is not known here; choose one of {', '.join(rules)}"
    )
    return rules[name]()


def draw(env: Any, rollout: Any, picture: Path, *, animation: bool) -> list[Path]:
    """Draw the first episode, if the environment can; returns the files."""
    if not hasattr(env, "draw"):
        return []
    files = [picture]
    with writing(picture):
        env.draw(rollout).savefig(picture, dpi=110)
    print(f"picture of the first episode: {picture}")
    if animation and hasattr(env, "animate"):
        files.append(picture.with_suffix(".gif"))
        with writing(files[-1]):
            env.animate(rollout, files[-1])
        print(f"and as an animation: {files[-1]}")
    return files


def add_pictures(checkpoint: Path, files: list[Path]) -> None:
    """Store pictures with the run in MLflow, below `evaluation`, if its store is here."""
    from ilvf.checkpoints.files import read_checkpoint, run_folder
    from ilvf.experiment.store import add_files, tracking_uri

    run_id = read_checkpoint(checkpoint).get("ilvf", {}).get("run")
    uri = tracking_uri(run_folder(checkpoint).parent)
    try:
        if add_files(uri, run_id, files, "evaluation"):
            print(f"and in the MLflow run {run_id}, below evaluation")
    except UsageError as error:
        print(f"note: {error}")
