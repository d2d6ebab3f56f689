"""python -m ilvf.envs.encircle [KEY=VALUE ...]: draw 50 random steps of agents among obstacles."""

from ilvf.envs import encircle
from ilvf.envs.shown import shown_env
from ilvf.errors import run_recipe

STEPS = 50


def main() -> None:
    """Draw random steps."""
    scene, _ = shown_env(encircle, n_agents=10, n_obstacles=3, seed=0)
    scene.draw(scene.rollout(STEPS)).savefig("encircle.png", dpi=120)
    print(f"encircle.png shows {STEPS} random steps of {scene.n_agents} agents")


if __name__ == "__main__":
    run_recipe(main)
