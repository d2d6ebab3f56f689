"""Evaluate a trained team again, and draw an episode.

python recipes/evaluate.py checkpoint=runs/RUN                        a run's folder: its best checkpoint
python recipes/evaluate.py checkpoint=PATH algorithm.eval_episodes=100 seed=1
python recipes/evaluate.py policy=random env=encircle env.n_agents=10 no checkpoint: the floor of every table
"""

from pathlib import Path

from ilvf.errors import require, run_recipe
from ilvf.experiment.command_line import command_line


def main() -> None:
    cfg = command_line(__file__, __doc__)
    import torch

    given = [k for k in ("checkpoint", "policy") if cfg[k] is not None]
    require(
        len(given) == 1,
        "give checkpoint=PATH, a file or a run's folder, or policy=NAME, and not both",
    )
    from ilvf.data.evaluation import EVALUATION_SEED, evaluate
    from ilvf.envs import make_env

    env = make_env(
        num_envs=cfg["algorithm"]["eval_episodes"], seed=EVALUATION_SEED + cfg["seed"], **cfg["env"]
    )
    env.eval()
    torch.manual_seed(cfg["seed"])
    actor, source = (
        trained(env, Path(cfg["checkpoint"]))
        if cfg["checkpoint"]
        else untrained(env, cfg["policy"], Path(cfg["out"]), cfg["env"]["name"])
    )
    steps, greedy = (cfg["algorithm"][k] for k in ("eval_steps", "eval_deterministic"))
    metrics, rollout = evaluate(env, actor, max_steps=steps or env.horizon, deterministic=greedy)
    print(f"{env.batch_size[0]} episodes of {cfg['env']['name']}, {source}")
    print("\n".join(f"  {k:<24}{v:12.4f}" for k, v in metrics.items()))
    if hasattr(env, "draw"):
        picture = source.with_name(f"{source.stem}-episode.png")
        picture.parent.mkdir(parents=True, exist_ok=True)
        env.draw(rollout).savefig(picture, dpi=110)
        print(f"picture of the first episode: {picture}")
        if hasattr(env, "animate"):
            env.animate(rollout, picture.with_suffix(".gif"))
            print(f"and as an animation: {picture.with_suffix('.gif')}")


def trained(env, path: Path):
    """(actor, path) of a checkpoint."""
    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.checkpoints.policy import actor_of

    actor = actor_of(read_checkpoint(path))
    fits = (env.n_agents, env.observation_dim) == (
        actor.arguments["n_agents"],
        actor.arguments["observation_dim"],
    )
    require(fits, f"checkpoint {path} was trained for another environment; leave out env.*")
    return actor, path


def untrained(env, name: str, out: Path, task: str):
    """(actor, where its picture goes): random, or one of the rules that the environment has (`env.rules`)."""
    from ilvf.modules import RandomActor

    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    rules = {
        "random": lambda: RandomActor(env.n_actions, masked=masked),
        **getattr(env, "rules", {}),
    }
    require(name in rules, f"policy={name!r} is not known here; choose one of {', '.join(rules)}")
    return rules[name](), out / f"{name}-{task.replace('/', '-')}"


if __name__ == "__main__":
    run_recipe(main)
