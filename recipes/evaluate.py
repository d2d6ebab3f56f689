"""Evaluate a trained team again, and draw an episode.

python recipes/evaluate.py checkpoint=runs/RUN                        a run's folder: its best checkpoint
python recipes/evaluate.py checkpoint=PATH algorithm.eval_episodes=100 seed=1
"""

from pathlib import Path

from ilvf.config import command_line, run_recipe
from ilvf.errors import require


def main() -> None:
    cfg = command_line(__file__, __doc__)
    require(cfg["checkpoint"] is not None, "give checkpoint=PATH, a file or a run's folder")
    from ilvf.checkpoint import actor_of, read_checkpoint
    from ilvf.envs import make_env
    from ilvf.evaluation import EVALUATION_SEED, evaluate

    path = Path(cfg["checkpoint"])
    actor = actor_of(read_checkpoint(path))
    env = make_env(num_envs=cfg["algorithm"]["eval_episodes"], seed=EVALUATION_SEED + cfg["seed"], **cfg["env"])
    fits = (env.n_agents, env.observation_dim) == (actor.arguments["n_agents"], actor.arguments["observation_dim"])
    require(fits, f"checkpoint {path} was trained for another environment; leave out env.*")
    metrics, rollout = evaluate(env, actor, max_steps=env.horizon, deterministic=cfg["algorithm"]["deterministic"])
    print(f"{env.batch_size[0]} episodes of {cfg['env']['name']}, {path}")
    print("\n".join(f"  {k:<24}{v:12.4f}" for k, v in metrics.items()))
    if hasattr(env, "draw"):
        picture = path.with_name(f"{path.stem}-episode.png")
        env.draw(rollout).savefig(picture, dpi=110)
        print(f"picture of the first episode: {picture}")


if __name__ == "__main__":
    run_recipe(main)
