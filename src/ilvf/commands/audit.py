"""Audit a trained team: who moves whose return, by intervention, against the learned influence.

From the same state only one agent's first action is changed; everything after it has the same
random numbers.

ilvf audit checkpoint=runs/RUN                           a run's folder: its best checkpoint
ilvf audit checkpoint=last audit.states=128 audit.repeats=16
ilvf audit checkpoint=PATH audit.level=0.01

Writes report.md and pictures into the run's folder, below audit/, and into its MLflow run.
Keys of env.* are those of the run that made the checkpoint.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ilvf.commands.checkpointed import (
    CheckpointOptions,
    load,
    publish,
    report_folder,
    require_rows,
)
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.options import MOST_THREADS
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option
from ilvf.reports.options import MOST


@dataclass
class AuditOptions(Options):
    """The experiments."""

    states: int = option(
        64, "states, one from each of as many episodes of the policy", least=2, most=MOST
    )
    actions: int = option(4, "joint first actions drawn in every state", least=2, most=MOST)
    repeats: int = option(8, "futures of every joint action", least=2, most=MOST)
    steps: int | None = option(
        None, "length of a return, by default an episode's", least=1, most=MOST
    )
    gamma: float | None = option(None, "discount, by default the run's", least=0, most=1)
    alternatives: Literal["policy", "box"] = option(
        "policy",
        "continuous actions: first actions are draws of the policy, or spread over the box",
    )
    choices: int = option(
        5, "continuous actions: first actions that every agent has in a state", least=2, most=MOST
    )
    level: float = option(
        0.05,
        "false discovery rate of the significant pairs; 1 - level: of the intervals",
        above=0,
        below=1,
    )
    batch: int = option(1024, "environments stepped at once", least=1, most=MOST)
    threads: int = option(
        1, "threads of torch; 0 leaves the choice to it", least=0, most=MOST_THREADS
    )


SCHEMA = Schema("audit", __doc__, CheckpointOptions, {"audit": AuditOptions}, env="encircle")


def main(arguments: Sequence[str] | None = None) -> None:
    """Audit as the arguments say."""
    config = command_line(SCHEMA, arguments)
    options = config.audit
    require_rows("audit", options.states, options.actions, options.repeats)
    trained = load(config, options.threads)
    folder = report_folder(trained, "audit")
    from ilvf.analysis import audit, visited_states
    from ilvf.experiment.build import environment_factory
    from ilvf.reports.audit import write_report
    from ilvf.reports.titles import run_title

    gamma = trained.gamma if options.gamma is None else options.gamma
    actor = trained.module.loss.actor
    make_env = environment_factory(config, seed=config.seed)
    source = make_env(num_envs=options.states)
    visited = visited_states(source, actor, seed=config.seed)
    weight, influence = learned_influence(trained.module, source, visited)
    rows = options.states * options.actions * options.repeats
    started = time.perf_counter()
    found = audit(
        make_env(num_envs=min(options.batch, rows)),
        actor,
        visited,
        actions=options.actions,
        repeats=options.repeats,
        steps=options.steps,
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
        "audit": {**options, "gamma": gamma},
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
