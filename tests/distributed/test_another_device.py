"""Training where every tensor must be on another device than the host's: no GPU is needed.

`another_device.py` is that device. A tensor that is made on the host, and used with those of the
rollout, ends the training.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = (
    "algorithm.num_envs=4 algorithm.rollout_steps=5 algorithm.hidden=8 algorithm.eval_every=2 "
    "algorithm.eval_episodes=2 env.horizon=5"
)
ENCIRCLE = f"{SMALL} env=encircle env.n_agents=4"
PREY = f"{SMALL} env=capture_prey"
CONTINUOUS = f"{ENCIRCLE} env.continuous=true"
OFF_POLICY = "algorithm.updates=2 algorithm.batch_size=16 algorithm.warmup=0"
ON_POLICY = "algorithm.epochs=2 algorithm.minibatches=1"
RUNS = [
    f"ilvf_p {PREY}",
    f"ilvf_p {ENCIRCLE} env.n_obstacles=3 algorithm.attention_share=0.25 algorithm.neighbours=2",
    f"ilvf_s {CONTINUOUS} algorithm.distribution=tanh_normal",
    f"no_inferring {ENCIRCLE} algorithm.draw=epoch algorithm.discretise=bernoulli",
    f"mappo {ENCIRCLE} algorithm.reward=split",
    f"prd {ENCIRCLE}",
    f"coma {ENCIRCLE} algorithm.recurrent=lstm algorithm.chunk=5",
]
ON_POLICY_RUNS = [f"{run} {ON_POLICY}" for run in RUNS]
OFF_POLICY_RUNS = [
    f"qmix {ENCIRCLE} {OFF_POLICY} algorithm.recurrent=gru algorithm.chunk=5",
    f"maddpg {CONTINUOUS} {OFF_POLICY} algorithm.noise=ou",
]


@pytest.mark.slow
@pytest.mark.parametrize("runs", [ON_POLICY_RUNS, OFF_POLICY_RUNS], ids=["on-policy", "off-policy"])
def test_training_stays_on_its_device(runs, tmp_path):
    script = Path(__file__).with_name("another_device.py")
    done = subprocess.run(
        [sys.executable, script, ",".join(runs)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    refused, *lines = done.stdout.splitlines()
    assert "expected all tensors to be on the same device" in refused
    found = [line.split()[:2] for line in lines if " return " in line]
    assert found == [[run.split()[0], "npu:0"] for run in runs]
