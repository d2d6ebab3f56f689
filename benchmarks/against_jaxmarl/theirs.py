"""IPPO of JaxMARL: frames per second of the processor, in an environment of its own.

Called by `frames_per_s.py`, which says how to make the environment:

    PYTHON theirs.py CHECKOUT AGENTS ITERATIONS

Prints frames per second. The training is `make_train` of the checkout's
`baselines/IPPO/ippo_ff_mpe.py`, as it is; only its config is ours. Compiling is not counted.
"""

import importlib
import os
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false --xla_force_host_platform_device_count=1"
)

CONFIG = {  # sizes are those of `ours.SETTINGS`
    "LR": 5e-4,
    "NUM_ENVS": 32,
    "NUM_STEPS": 50,
    "UPDATE_EPOCHS": 15,
    "NUM_MINIBATCHES": 1,
    "GAMMA": 0.95,
    "GAE_LAMBDA": 0.95,
    "CLIP_EPS": 0.2,
    "ENT_COEF": 0.01,
    "VF_COEF": 1.0,
    "MAX_GRAD_NORM": 10.0,
    "ACTIVATION": "relu",
    "ENV_NAME": "MPE_simple_spread_v3",
    "ANNEAL_LR": False,
}
FRAMES = CONFIG["NUM_ENVS"] * CONFIG["NUM_STEPS"]


def main() -> None:
    checkout, agents, iterations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    import jax
    import wandb

    wandb.init(mode="disabled")  # the training calls wandb.log
    sys.path.insert(0, checkout)
    baseline = importlib.import_module("baselines.IPPO.ippo_ff_mpe")
    size = {"num_agents": agents, "num_landmarks": agents}
    config = {**CONFIG, "ENV_KWARGS": size, "TOTAL_TIMESTEPS": FRAMES * iterations}
    train = jax.jit(baseline.make_train(config)).lower(jax.random.PRNGKey(0)).compile()
    start = time.process_time()
    jax.block_until_ready(train(jax.random.PRNGKey(0)))
    print(FRAMES * iterations / (time.process_time() - start))


if __name__ == "__main__":
    main()
