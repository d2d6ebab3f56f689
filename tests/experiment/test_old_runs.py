"""Runs of version 0.1 resume exactly: their checkpoints, config keys and replay files."""

import shutil

import pytest
import torch

from helpers import ROOT

RUNS = ROOT / "tests" / "reference" / "version_0_1"


@pytest.mark.parametrize("name", ["ilvf_p", "qmix"])
def test_a_run_of_version_0_1_resumes_exactly(name, out, recipe):
    """Three iterations of version 0.1 and three of today equal six of version 0.1.

    The old configs have keys and values with other names today: `normalise`, `noise: auto`.
    """
    run = out / name
    shutil.copytree(RUNS / name, run)
    arguments = (f"resume={run}", f"out={out}", "trainer.max_epochs=6", "trainer.progress=false")
    assert recipe(name, *arguments) == 0
    resumed = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    expected = torch.load(run / "six_iterations.pt", weights_only=True)
    assert resumed.keys() == expected.keys()
    for key, value in expected.items():
        # bit-exact on the machine that recorded them; other processors round differently
        assert torch.allclose(resumed[key], value, rtol=1e-4, atol=1e-6), key


@pytest.mark.slow
def test_a_checkpoint_of_version_0_1_is_evaluated_and_audited(recipe, capsys, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(RUNS / "ilvf_p", run)
    assert recipe("evaluate", f"checkpoint={run}", "animation=false") == 0
    assert "reward/agent_step" in capsys.readouterr().out
    small = ("audit.states=2", "audit.actions=2", "audit.repeats=2")
    assert recipe("audit", f"checkpoint={run}", *small) == 0
    assert (run / "audit" / "report.md").is_file()
