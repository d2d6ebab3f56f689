"""python -m ilvf.envs.capture_prey [KEY=VALUE ...]: draw agents that know where the prey is."""

from ilvf.envs import capture_prey
from ilvf.envs.shown import shown_env
from ilvf.errors import run_recipe


def main() -> None:
    """Draw and animate an episode."""
    scene, _ = shown_env(capture_prey, seed=0)
    episode = scene.rollout(scene.horizon, scene.rules["seek"]())
    scene.draw(episode).savefig("capture_prey.png", dpi=120)
    scene.animate(episode, "capture_prey.gif")
    print("capture_prey.png and .gif show an episode of agents that know where the prey is")


if __name__ == "__main__":
    run_recipe(main)
