"""What trained traffic signals do, beside baselines in the same episodes.

python recipes/traffic.py checkpoint=runs/RUN                         a run's folder: its best checkpoint
python recipes/traffic.py checkpoint=last traffic.against=fixed_cycle,max_pressure traffic.episodes=4
python recipes/traffic.py checkpoint=PATH env.seconds=3600            longer episodes than those of the training

Draws queue and speed over the episode, maps of the network coloured by queue, and the learned influence as arrows on
the map, into the run's folder below traffic/ and its MLflow run.
"""

from pathlib import Path

from ilvf.errors import require, run_recipe
from ilvf.experiment.command_line import Config, command_line


def main() -> None:
    cfg = command_line(__file__, __doc__)
    require(cfg["checkpoint"] is not None, "give checkpoint=PATH, a file or a run's folder")
    import torch

    from audit import load
    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.experiment.memory import keep_memory
    from ilvf.experiment.tracking import add_to_run, tracking_uri
    from traffic_report import write_report

    keep_memory()
    options, path = cfg["traffic"], Path(cfg["checkpoint"])
    require_traffic(cfg)
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    content = read_checkpoint(path)
    module = load(content, cfg)
    if options["deterministic"] is None:
        options["deterministic"] = module.config["algorithm"]["eval_deterministic"]
    rollouts, env = play_all(module.loss.actor, cfg)
    kept = uninterrupted(rollouts)
    rollouts = {name: rollout[kept] for name, rollout in rollouts.items()}
    influence = influence_of(module, rollouts["learned"])
    run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    folder = run / "traffic"
    metrics = write_report(folder, env, rollouts, influence, cfg)
    print((folder / "report.md").read_text())
    stored = add_to_run(tracking_uri(run.parent), content["ilvf"]["run"], folder, metrics)
    print(
        f"report and pictures: {folder}{', and in the MLflow run ' + content['ilvf']['run'] if stored else ''}"
    )


def require_traffic(cfg: Config) -> None:
    """The run's environment has roads and the options make sense; its copies go into this process."""
    from ilvf.envs import TRAFFIC

    name, options = cfg["env"]["name"], cfg["traffic"]
    require(
        name in TRAFFIC,
        f"{cfg['checkpoint']} is of env={name}, which has no roads; need {' or '.join(TRAFFIC)}",
    )
    for key, least in (("episodes", 1), ("arrows", 1), ("threads", 0)):
        require(options[key] >= least, f"traffic.{key}={options[key]} is too small")
    chosen = options["deterministic"]
    require(
        chosen in (True, False, None), f"traffic.deterministic={chosen} must be true, false or null"
    )
    cfg["env"]["workers"] = 0  # those in workers do not tell their queues


def play_all(actor, cfg: Config):
    """({policy: rollout `[B, T]`}, the environment, closed): the learned one and the baselines in the same episodes."""
    from ilvf.data.evaluation import EVALUATION_SEED
    from ilvf.envs import make_env

    options = cfg["traffic"]
    env = make_env(num_envs=options["episodes"], seed=EVALUATION_SEED + cfg["seed"], **cfg["env"])
    try:
        policies = {"learned": actor, **baselines(env, options["against"])}
        mode = {"seed": cfg["seed"], "deterministic": options["deterministic"]}
        return {name: play(env, policy, **mode) for name, policy in policies.items()}, env
    finally:
        env.close()


def baselines(env, names: str) -> dict:
    """The policies of `traffic.against` by name."""
    from ilvf.modules import RandomActor

    known = {"random": lambda: RandomActor(env.n_actions, masked=env.masked), **env.rules}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        require(
            name in known,
            f"traffic.against={names}: {name!r} is not known; choose from {', '.join(known)}",
        )
    return {name: known[name]() for name in wanted}


def play(env, policy, *, seed: int, deterministic: bool):
    """One episode of every copy, `[B, T]`, with `("next", "queues")` `[B, T, M]`: vehicles halting after the step.

    Nothing is reset on the way: queues are never those of a next episode, and a copy whose simulator fails rests.
    """
    import torch
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    from ilvf.data.evaluation import EVALUATION_SEED

    env.set_seed(EVALUATION_SEED + seed)
    torch.manual_seed(seed)
    mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    td, frames = env.reset(), []
    with torch.no_grad(), set_exploration_type(mode):
        for _ in range(env.horizon):
            frame = env.step(policy(td))
            td = env.step_mdp(frame)
            frame["next", "queues"] = env.queues()
            frames.append(frame)
    return torch.stack(frames, 1)


def uninterrupted(rollouts: dict):
    """Which episodes no policy lost to a fault of the simulator, bool `[B]`: only they can be compared."""
    import torch

    from ilvf.data.evaluation import interrupted

    broken = torch.stack([interrupted(r).any(1).flatten() for r in rollouts.values()]).any(0)
    require(
        not broken.all(),
        "every episode was interrupted by a fault of the simulator; the warnings say which",
    )
    return ~broken


def influence_of(module, rollout) -> dict:
    """Means of w and Ŵ over a rollout of the learned policy, `[N, N]`, row = acting signal; {} if none is learned."""
    found = module.influence_in(rollout)
    return (
        dict(zip(("weight", "influence"), (m.float().mean((0, 1)) for m in found), strict=True))
        if found
        else {}
    )


if __name__ == "__main__":
    run_recipe(main)
