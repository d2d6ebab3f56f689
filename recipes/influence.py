"""How influence changes in the course of an episode: what the critic has learned, beside what is measured.

python recipes/influence.py checkpoint=runs/RUN                       a run's folder: its best checkpoint
python recipes/influence.py checkpoint=last influence.moments=0.1,0.5,0.9 influence.episodes=64
python recipes/influence.py checkpoint=PATH influence.measure=false   in seconds, without the experiments

Draws the attention w, the influence Ŵ that it becomes and the measured effects at three moments (the paper's Figure 4),
and density and triangular share of w over the whole episode, into the run's folder below influence/ and its MLflow run.
"""

import functools
from pathlib import Path

from ilvf.errors import UsageError, require, run_recipe
from ilvf.experiment.command_line import Config, command_line


def main() -> None:
    cfg = command_line(__file__, __doc__)
    require(cfg["checkpoint"] is not None, "give checkpoint=PATH, a file or a run's folder")
    import torch

    from audit import load
    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.envs import make_env
    from ilvf.experiment.memory import keep_memory
    from ilvf.experiment.tracking import add_to_run, tracking_uri
    from influence_report import write_report

    keep_memory()
    options, path = dict(cfg["influence"]), Path(cfg["checkpoint"])
    for name, least in (("episodes", 2), ("batch", 1), ("threads", 0)):
        require(options[name] >= least, f"influence.{name}={options[name]} is too small")
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    moments = read_moments(options["moments"])
    content = read_checkpoint(path)
    module = load(content, cfg)
    factory = functools.partial(make_env, seed=cfg["seed"], **cfg["env"])
    env = factory(num_envs=options["episodes"])
    if options["measure"] and not hasattr(env, "get_state"):
        options["measure"] = False
        print(
            f"nothing is measured by intervention: {type(env).__name__} cannot be put back into a state"
        )
    episode = over_episode(module, env, cfg["seed"])
    require(
        bool(episode),
        f"{path} has no learned influence: it is fixed, or {type(module).__name__} has none",
    )
    at = {m: min(int(m * episode["horizon"]), episode["horizon"] - 1) for m in moments}
    measured = measure(module, factory, at, cfg) if options["measure"] else {}
    run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    folder = run / "influence"
    metrics = write_report(
        folder, episode, at, measured, {"checkpoint": path.name, "env": cfg["env"]}
    )
    print((folder / "report.md").read_text())
    stored = add_to_run(tracking_uri(run.parent), content["ilvf"]["run"], folder, metrics)
    print(
        f"report and pictures: {folder}{', and in the MLflow run ' + content['ilvf']['run'] if stored else ''}"
    )


def read_moments(text: object) -> list[float]:
    """`0.2,0.5,0.95` as numbers."""
    try:
        moments = [float(m) for m in str(text).strip("[]").split(",")]
    except ValueError as error:
        raise UsageError(
            f"influence.moments={text!r} must be numbers in [0, 1], such as 0.2,0.5,0.95"
        ) from error
    require(
        all(0 <= m <= 1 for m in moments),
        f"influence.moments={text!r} must be in [0, 1], parts of an episode",
    )
    return sorted(set(moments))


def over_episode(module, env, seed: int) -> dict:
    """w and Ŵ `[K, T, N, N]` (row = acting agent), the steps of first episodes bool `[K, T]`, and the horizon T.

    {} if the algorithm learns no influence.
    """
    import torch

    from ilvf.data.evaluation import first_episode

    torch.manual_seed(seed)
    with torch.no_grad():
        rollout = env.rollout(env.horizon, module.loss.actor, break_when_any_done=False)
    found = module.influence_in(rollout)
    if found is None:
        return {}
    counted = first_episode(rollout["next", "done"])[0].squeeze(-1)
    return {"weight": found[0], "influence": found[1], "counted": counted, "horizon": env.horizon}


def measure(module, factory, at: dict[float, int], cfg: Config) -> dict:
    """The audit of every moment."""
    from ilvf.analysis import audit, states_at

    o, actor = cfg["influence"], module.loss.actor
    visited = states_at(factory(num_envs=o["episodes"]), actor, list(at.values()), seed=cfg["seed"])
    gamma = module.config["algorithm"]["gamma"] if o["gamma"] is None else o["gamma"]
    rows = o["episodes"] * o["actions"] * o["repeats"]
    lab = factory(num_envs=min(o["batch"], rows))
    options = dict(
        actions=o["actions"], repeats=o["repeats"], steps=o["steps"], gamma=gamma, seed=cfg["seed"]
    )
    return {m: audit(lab, actor, visited[t], **options) for m, t in at.items()}


if __name__ == "__main__":
    run_recipe(main)
