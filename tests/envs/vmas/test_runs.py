"""Training runs on VMAS: a resumed one is the same, bit for bit."""

import pytest

from helpers import TINY
from run_helpers import assert_same_learning, folder_with_store

SMALL = tuple(argument for argument in TINY if not argument.startswith(("env.", "trainer.max")))
TASK = ("env=vmas", "env.task=balance", "env.horizon=7")


@pytest.mark.slow
def test_a_resumed_run_is_the_same(tmp_path, store, recipe):
    """It stops in the middle of episodes, and draws no pictures."""
    whole = folder_with_store(tmp_path / "whole", store)
    parts = folder_with_store(tmp_path / "parts", store)
    drawn = (f"out={whole}", "trainer.pictures=true")
    assert recipe("mappo", *SMALL, *TASK, *drawn, "trainer.max_epochs=3") == 0
    assert recipe("mappo", *SMALL, *TASK, f"out={parts}", "trainer.max_epochs=2") == 0
    assert recipe("mappo", "resume=last", f"out={parts}", "trainer.max_epochs=3") == 0
    assert_same_learning(whole, parts)
