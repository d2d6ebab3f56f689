"""python -m ilvf.envs.cacc [KEY=VALUE ...]: draw vehicles that follow the linear rule."""

from ilvf.envs import cacc
from ilvf.envs.shown import shown_env
from ilvf.errors import run_recipe


def main() -> None:
    """Draw an episode."""
    scene, _ = shown_env(cacc, scenario="slow-down", ratio=2.0, seed=0)
    scene.eval()  # without the penalty of training
    scene.draw(scene.rollout(scene.horizon, scene.rules["linear"]())).savefig("cacc.png", dpi=120)
    print(f"cacc.png shows {scene.n_agents} vehicles that follow the linear rule")


if __name__ == "__main__":
    run_recipe(main)
