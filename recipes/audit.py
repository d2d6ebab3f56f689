"""Audit a trained team: who really moves whose return, found by intervention, against what its critic has learned.

From the same state only one agent's first action is changed; everything after it has the same random numbers.

python recipes/audit.py checkpoint=runs/RUN                           a run's folder: its best checkpoint
python recipes/audit.py checkpoint=last audit.states=128 audit.repeats=16
python recipes/audit.py checkpoint=PATH audit.level=0.01

Writes report.md and pictures into the run's folder, below audit/, and into its MLflow run.
"""

import functools
import time
from pathlib import Path

from ilvf.errors import require, run_recipe
from ilvf.experiment.command_line import Config, command_line


def main() -> None:
    cfg = command_line(__file__, __doc__)
    require(cfg["checkpoint"] is not None, "give checkpoint=PATH, a file or a run's folder")
    import torch

    from audit_report import write_report
    from ilvf.analysis import audit, visited_states
    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.envs import make_env
    from ilvf.experiment.memory import keep_memory
    from ilvf.experiment.tracking import add_to_run, tracking_uri

    keep_memory()
    options, path = dict(cfg["audit"]), Path(cfg["checkpoint"])
    states, batch, threads = (options.pop(k) for k in ("states", "batch", "threads"))
    for name, value in (("states", states - 1), ("batch", batch), ("threads", threads + 1)):
        require(value >= 1, f"audit.{name}={cfg['audit'][name]} is too small")
    if threads:
        torch.set_num_threads(threads)
    content = read_checkpoint(path)
    module = load(content, cfg)
    options["gamma"] = (
        module.config["algorithm"]["gamma"] if options["gamma"] is None else options["gamma"]
    )
    factory = functools.partial(make_env, seed=cfg["seed"], **cfg["env"])
    source, actor = factory(num_envs=states), module.loss.actor
    visited = visited_states(source, actor, seed=cfg["seed"])
    weight, influence = learned(module, source, visited)
    rows = states * options["actions"] * options["repeats"]
    started = time.perf_counter()
    found = audit(factory(num_envs=min(batch, rows)), actor, visited, seed=cfg["seed"], **options)
    seconds = time.perf_counter() - started
    run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    folder = run / "audit"
    setting = {
        "checkpoint": path.name,
        "env": cfg["env"],
        "audit": {**cfg["audit"], **options},
        "seconds": seconds,
    }
    metrics = write_report(folder, found, weight, influence, source, setting)
    print((folder / "report.md").read_text())
    stored = add_to_run(tracking_uri(run.parent), content["ilvf"]["run"], folder, metrics)
    print(
        f"report and pictures: {folder}{', and in the MLflow run ' + content['ilvf']['run'] if stored else ''}"
    )


def load(content: dict, cfg: Config):
    """The trained algorithm of a checkpoint, on the environment of `cfg`."""
    import importlib

    from ilvf.checkpoints.fit import require_fit

    config = {**content["ilvf"]["config"], "env": cfg["env"]}
    module = importlib.import_module(config.get("recipe", "ilvf_p")).build(config)
    require_fit(cfg["checkpoint"], content, module)
    module.load_state_dict(content["state_dict"])
    module.config = config
    return module.eval()


def learned(module, env, states):
    """(weight, Ŵ) `[K, N, N]` of the critic in these states; (Ŵ, Ŵ) if the influence is fixed."""
    import torch

    advantage = getattr(module, "advantage", None)
    require(
        hasattr(advantage, "graph"),
        f"{type(module).__name__} has no influence matrix to audit here; ilvf.analysis.auditing measures without one",
    )
    if advantage.graph is not None:
        return advantage.graph, advantage.graph
    env.set_state({**states, "rng": env.rng.get_state()})
    with torch.no_grad():
        td = module.loss.actor(env.reset())  # some weights depend on the actions, too
    return module.influence_in(td)


if __name__ == "__main__":
    run_recipe(main)
