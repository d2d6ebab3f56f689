"""Audit a trained team: who moves whose return, by intervention, against the learned influence.

From the same state only one agent's first action is changed; everything after it has the same
random numbers.

ilvf audit checkpoint=runs/RUN                           a run's folder: its best checkpoint
ilvf audit checkpoint=last audit.states=128 audit.repeats=16
ilvf audit checkpoint=PATH audit.level=0.01

On SUMO every environment is a simulator, and the defaults are smaller: about ten minutes of one
core for 25 signals. More states make it surer, longer returns let effects reach farther:

ilvf audit checkpoint=PATH audit.states=32 audit.steps=24

Writes report.md and pictures into the run's folder, below audit/, and into its MLflow run.
Keys of env.* are those of the run that made the checkpoint.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from ilvf.commands.checkpointed import (
    TrainedOptions,
    load,
    publish,
    report_folder,
    require_a_team,
    require_rows,
)
from ilvf.commands.experiments import audit_sizes, quiet_elsewhere
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.options import MOST_THREADS
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option
from ilvf.reports.options import MOST


@dataclass
class AuditOptions(Options):
    """The experiments."""

    states: int | None = option(
        None,
        "states, one from each of as many episodes of the policy; null: 64, on SUMO 8",
        least=2,
        most=MOST,
    )
    actions: int | None = option(
        None, "joint first actions drawn in every state; null: 4, on SUMO 2", least=2, most=MOST
    )
    repeats: int | None = option(
        None, "futures of every joint action; null: 8, on SUMO 2", least=2, most=MOST
    )
    steps: int | None = option(
        None, "length of a return; null: an episode's, on SUMO 12", least=1, most=MOST
    )
    gamma: float | None = option(None, "discount, by default the run's", least=0, most=1)
    alternatives: Literal["policy", "box"] = option(
        "policy",
        "first actions are draws of the policy, or spread over the box of continuous actions",
    )
    choices: int = option(
        5,
        "first actions that every agent has in a state, of continuous actions or several choices",
        least=2,
        most=MOST,
    )
    level: float = option(
        0.05,
        "false discovery rate of the significant pairs; 1 - level: of the intervals",
        above=0,
        below=1,
    )
    batch: int | None = option(
        None,
        "environments stepped at once; null: 1024, on SUMO four for each core",
        least=1,
        most=MOST,
    )
    threads: int = option(
        1, "threads of torch; 0 leaves the choice to it", least=0, most=MOST_THREADS
    )


SCHEMA = Schema("audit", __doc__, TrainedOptions, {"audit": AuditOptions}, env="encircle")


def main(arguments: Sequence[str] | None = None) -> None:
    """Audit as the arguments say."""
    config = command_line(SCHEMA, arguments)
    options = config.audit
    quiet_elsewhere(config)
    sizes = audit_sizes(options, config.env)
    rows = sizes["states"] * sizes["actions"] * sizes["repeats"]
    require_rows("audit", rows)
    trained = load(config, options.threads)
    require_a_team(trained)
    folder = report_folder(trained, "audit")
    from ilvf.analysis import audit, visited_states
    from ilvf.experiment.build import environment_factory
    from ilvf.reports.audit import write_report
    from ilvf.reports.titles import run_title

    gamma = trained.gamma if options.gamma is None else options.gamma
    actor = trained.module.loss.actor
    make_env = environment_factory(config, seed=config.seed)
    with (
        closing(make_env(num_envs=sizes["states"])) as source,
        closing(make_env(num_envs=min(sizes["batch"], rows))) as env,
    ):
        visited = visited_states(source, actor, seed=config.seed)
        weight, influence = learned_influence(trained.module, source, visited)
        started = time.perf_counter()
        found = audit(
            env,
            actor,
            visited,
            actions=sizes["actions"],
            repeats=sizes["repeats"],
            steps=sizes["steps"],
            gamma=gamma,
            alternatives=options.alternatives,
            choices=options.choices,
            level=options.level,
            seed=config.seed,
        )
        setting = {
            "checkpoint": trained.path.name,
            "env": dict(config.env),
            "title": run_title(trained.module.config, config.env),
            "audit": {**options, **sizes, "gamma": gamma},
            "seconds": time.perf_counter() - started,
        }
        publish(trained, folder, write_report(folder, found, weight, influence, source, setting))


def learned_influence(module: Any, env: Any, states: Mapping[str, Any]) -> tuple[Any, Any]:
    """(w, Ŵ) `[K, N, N]` of the critic in these states; the graph twice if it is fixed."""
    import torch

    from ilvf.credit import FixedInfluence

    advantage: Any = getattr(module, "advantage", None)
    require(
        hasattr(advantage, "source"),
        f"{type(module).__name__} has no influence matrix to audit here; "
        "ilvf.analysis.audit measures without one",
    )
    if isinstance(advantage.source, FixedInfluence):
        return advantage.source.graph, advantage.source.graph
    env.set_state({**states, "rng": env.rng.get_state()})
    with torch.no_grad():
        acted = module.loss.actor(env.reset())  # some weights depend on the actions too
    return advantage.influence_in(acted)
