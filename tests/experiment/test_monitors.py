"""Early stopping and the best checkpoints, on evaluations alone."""

import pytest
import torch

from helpers import TINY
from ilvf.errors import UsageError
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.experiment.monitors import EvaluationStopping
from run_helpers import only_run

EVALUATED = "eval/return/team"


@pytest.mark.slow
def test_a_run_ends_after_evaluations_without_improvement_and_keeps_the_best(out, recipe):
    """An improvement of 10⁹ is impossible: the first evaluation counts, the next two do not."""
    words = ["trainer.max_epochs=20", "trainer.logger=none", "trainer.save_top_k=2"]
    stopping = ["trainer.early_stopping=2", "trainer.early_stopping_delta=1e9"]
    assert recipe("mappo", *TINY, *words, *stopping, f"out={out}") == 0
    rows = read_rows(only_run(out) / METRICS)
    scores = {row["frames"] / 40: row[EVALUATED] for row in rows if EVALUATED in row}
    assert list(scores) == [2, 4, 6]
    assert len(rows) == 6
    best = sorted(scores, key=lambda iteration: scores[iteration])[-2:]
    kept = {path.name for path in (only_run(out) / "checkpoints").iterdir()}
    assert kept == {"best.ckpt", "last.ckpt", *(f"top-{k - 1:.0f}.ckpt" for k in best)}
    assert recipe("mappo", f"out={out}", "resume=last", "trainer.early_stopping=null") == 0
    assert len(read_rows(only_run(out) / METRICS)) == 20


def test_the_patience_is_that_of_the_config():
    state = EvaluationStopping(3, 0.0).state_dict()
    stopping = EvaluationStopping(5, 0.0)
    stopping.load_state_dict({**state, "wait_count": 2})
    assert (stopping.patience, stopping.wait_count) == (5, 2)
    for damage in ({"wait_count": -1}, {"best_score": torch.zeros(2)}, {"stopped_epoch": "1"}):
        with pytest.raises(UsageError, match="early stopping is damaged"):
            stopping.load_state_dict({**state, **damage})
