"""How influence changes over an episode: what the critic has learned, beside what is measured.

ilvf influence checkpoint=runs/RUN                       a run's folder: its best checkpoint
ilvf influence checkpoint=last influence.moments=0.1,0.5,0.9 influence.episodes=64
ilvf influence checkpoint=PATH influence.measure=false   in seconds, without the experiments

Draws the attention w, the influence Ŵ and the measured effects at three moments (the paper's
Figure 4), and density and triangular share of w over the episode, into the run's folder below
influence/ and its MLflow run. Keys of env.* are those of the run that made the checkpoint.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ilvf.commands.checkpointed import (
    Trained,
    TrainedOptions,
    load,
    publish,
    report_folder,
    require_a_team,
    require_rows,
)
from ilvf.commands.experiments import measurement_sizes, quiet_elsewhere
from ilvf.errors import UsageError
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import Config
from ilvf.experiment.schema import Schema
from ilvf.reports.options import InfluenceOptions, read_moments

SCHEMA = Schema(
    "influence", __doc__, TrainedOptions, {"influence": InfluenceOptions}, env="encircle"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Report the influence over an episode as the arguments say."""
    report(command_line(SCHEMA, arguments))


def report(config: Config) -> dict[str, float]:
    """Report the influence over an episode as the config says.

    Returns:
        the metrics of the report.
    """
    options = config.influence
    moments = read_moments(options.moments)
    require_rows("influence", options.episodes, options.actions, options.repeats)
    trained = load(config, options.threads)
    require_a_team(trained)
    folder = report_folder(trained, "influence")
    from ilvf.envs.names import names_of
    from ilvf.experiment.build import environment_factory
    from ilvf.reports.influence import write_report
    from ilvf.reports.titles import run_title

    sizes = measurement_sizes(options, config.env)
    if sizes["measure"]:
        quiet_elsewhere(config)
    make_env = environment_factory(config, seed=config.seed)
    env = make_env(num_envs=options.episodes)
    problem = unmeasurable(env, trained.module.loss.actor)
    measured_too = sizes["measure"] and not problem
    if sizes["measure"] and problem:
        print(f"nothing is measured by intervention: {problem}")
    episode = over_episode(trained, env, config.seed)
    horizon = episode["horizon"]
    at = {moment: min(int(moment * horizon), horizon - 1) for moment in moments}
    measured = measure(trained, make_env, at, config, sizes) if measured_too else {}
    setting = {
        "checkpoint": trained.path.name,
        "env": dict(config.env),
        "title": run_title(trained.module.config, config.env),
        "agents": names_of(env, env.n_agents),
    }
    metrics = write_report(folder, episode, at, measured, setting)
    publish(trained, folder, metrics)
    return metrics


def unmeasurable(env: Any, actor: Any) -> str:
    """Why nothing can be measured by intervention; empty if it can."""
    from ilvf.modules.memory import memories_of

    if not hasattr(env, "get_state"):
        return f"the state of {type(env).__name__} cannot be set"
    if memories_of(actor):
        return "the team is recurrent, and a state does not have what it remembers"
    return ""


def over_episode(trained: Trained, env: Any, seed: int) -> dict[str, Any]:
    """w and Ŵ over a rollout of the policy.

    Returns:
        `weight` and `influence` `[K, T, N, N]` (row = acting agent), `counted` bool `[K, T]`, the
        steps of first episodes, and `horizon` T.

    Raises:
        UsageError: the algorithm learns no influence.
    """
    import torch

    from ilvf.data.evaluation import first_episode
    from ilvf.data.rollout import with_memory

    module = trained.module
    torch.manual_seed(seed)
    with torch.no_grad():
        carrying = with_memory(env, module.loss.actor)
        rollout = carrying.rollout(env.horizon, module.loss.actor, break_when_any_done=False)
    found = learned_in(module, rollout)
    if found is None:
        raise UsageError(
            f"{trained.path} has no learned influence: it is fixed, "
            f"or {type(module).__name__} has none"
        )
    counted = first_episode(rollout["next", "done"])[0].squeeze(-1)
    weight, influence = found
    return {
        "weight": weight,
        "influence": influence,
        "counted": counted,
        "horizon": env.horizon,
    }


def learned_in(module: Any, rollout: Any) -> Any:
    """(w, Ŵ) of a module in the states of a rollout; None if it learns no influence."""
    advantage: Any = getattr(module, "advantage", None)
    return advantage.influence_in(rollout) if hasattr(advantage, "influence_in") else None


def measure(
    trained: Trained,
    make_env: Any,
    at: dict[float, int],
    config: Config,
    sizes: Mapping[str, Any],
) -> dict[float, Any]:
    """The audit at every moment."""
    from ilvf.analysis import audit, states_at

    options = config.influence
    actor = trained.module.loss.actor
    steps = list(at.values())
    visited = states_at(make_env(num_envs=options.episodes), actor, steps, seed=config.seed)
    rows = options.episodes * options.actions * options.repeats
    env = make_env(num_envs=min(sizes["batch"], rows))
    gamma = trained.gamma if options.gamma is None else options.gamma
    found = {}
    for moment, step in at.items():
        found[moment] = audit(
            env,
            actor,
            visited[step],
            actions=options.actions,
            repeats=options.repeats,
            steps=sizes["steps"],
            gamma=gamma,
            seed=config.seed,
        )
    return found
