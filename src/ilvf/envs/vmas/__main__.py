"""python -m ilvf.envs.vmas [TASK] [KEY=VALUE ...]: print a scenario, and draw 100 random steps."""

from ilvf.envs import vmas
from ilvf.envs.check import check_env
from ilvf.envs.options import VmasOptions
from ilvf.envs.shown import shown_env
from ilvf.errors import run_recipe

COPIES = 32


def main() -> None:
    """Print the sizes of a scenario and the mean return of random episodes."""
    env, task = shown_env(vmas, task=("task", VmasOptions.task), num_envs=COPIES, seed=0)
    print(f"{task}: {check_env(env)}")
    rollout = env.rollout(env.horizon, break_when_any_done=False)
    ended = rollout["next", "done"]
    mean = rollout["next", "episode", "return"][ended].mean()
    print(f"{int(ended.sum())} random episodes, mean return of the team {mean:.2f}")
    env.draw(rollout).savefig(f"{task}.png", dpi=120)
    print(f"{task}.png shows the first of them")


if __name__ == "__main__":
    run_recipe(main)
