"""The hot path does not wait for the device: what reads numbers on the host, and how often.

`host_reads.py` counts the reads. `tests/losses/test_reads_nothing.py` has those of single parts.
"""

from collections import Counter

import pytest
import torch

from helpers import bare_trainer
from host_reads import HostReads, imitate_gpu, reads_of
from ilvf.algorithms.base import Training
from ilvf.algorithms.options import ALGORITHMS
from ilvf.analysis import auroc, density, off_diagonal
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules import ValueNorm

ITERATIONS = 3
STEPS = 10  # of a rollout
SMALL = (
    "algorithm.num_envs=4",
    f"algorithm.rollout_steps={STEPS}",
    "algorithm.hidden=8",
    "algorithm.eval_every=100",
    "algorithm.eval_episodes=2",
)
ON_POLICY = ("algorithm.epochs=2", "algorithm.minibatches=2")
OFF_POLICY = ("algorithm.updates=4", "algorithm.batch_size=16", "algorithm.warmup=0")
ENVIRONMENTS = {
    "encircle": ("env.n_agents=4", "env.horizon=10"),
    "capture_prey": ("env=capture_prey", "env.horizon=10"),
    "cacc": ("env=cacc", "env.n_agents=4"),
}
METRICS = "algorithms/base.py _gathered"
ALLOWED = {  # reads of a whole iteration, by file and function
    METRICS: 1,  # all metrics in one transfer
    "data/tensor_collector.py step": STEPS,  # whether an episode has ended, as in TorchRL's loop
    "credit/signals.py write_values": 3,  # picks the states after which an episode ends
    "credit/individual.py _require_finite": 1,  # are the advantages finite? Once a rollout
    "credit/weights.py require_weights": 3,  # checks the range of the weights, once a rollout
}


@pytest.fixture
def like_a_gpu(monkeypatch):
    imitate_gpu(monkeypatch)


def reads_of_the_last_iteration(name, env):
    """All reads between the start of an iteration and its metrics, evaluation left out."""
    kind = OFF_POLICY if "updates" in ALGORITHMS[name].__dataclass_fields__ else ON_POLICY
    config = resolve(training_schema(name), [*ENVIRONMENTS[env], *SMALL, *kind])
    module = build(config)
    reads = HostReads()
    begin = Training.begin_iteration
    gather = Training._gathered
    seen = []

    def begin_counting(self):
        begin(self)
        reads.counts.clear()
        reads.__enter__()

    def stop_counting(self):
        try:
            return gather(self)
        finally:
            reads.__exit__(None, None, None)
            seen.append(Counter(reads.counts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "begin_iteration", begin_counting)
        patch.setattr(Training, "_gathered", stop_counting)
        bare_trainer(ITERATIONS).fit(module)
    return seen[-1]


@pytest.mark.usefixtures("like_a_gpu")
@pytest.mark.parametrize(
    ("name", "env"),
    [*((name, "encircle") for name in ALGORITHMS), ("ilvf_p", "capture_prey"), ("ilvf_p", "cacc")],
)
def test_an_iteration_reads_the_device_for_its_metrics_only(name, env):
    reads = reads_of_the_last_iteration(name, env)
    ours = {place: n for place, n in reads.items() if place not in ("torchrl", "lightning")}
    assert ours[METRICS] == 1
    too_often = {place: n for place, n in ours.items() if n > ALLOWED.get(place, 0)}
    assert not too_often, reads


def test_the_counter_sees_every_kind_of_read():
    x = torch.rand(3)
    assert reads_of(lambda: x.sum().item()) == 1
    assert reads_of(lambda: bool(x.any())) == 1
    assert reads_of(lambda: x[x > 0.5]) >= 1
    assert reads_of(lambda: x.masked_select(x > 0.5)) >= 1
    assert reads_of(lambda: f"{x[0]:.2f}") >= 1
    assert reads_of(lambda: x.tolist()) == 1
    assert reads_of(lambda: torch.tensor([1.0, 2.0])) == 1
    assert reads_of(lambda index: x[index] + 1, torch.tensor([0, 1])) == 0


def test_scores_and_value_norm_read_nothing():
    weight = torch.rand(5, 5)
    norm = ValueNorm((5, 1))
    alive = torch.rand(7, 5, 1) < 0.5
    assert reads_of(auroc, weight, weight > 0.5) == 0
    assert reads_of(density, weight) == 0
    assert reads_of(norm.update, torch.randn(7, 5, 1), alive) == 0


@pytest.mark.parametrize("n", [1, 2, 5])
def test_off_diagonal_takes_the_entries_row_by_row(n):
    matrix = torch.rand(3, 2, n, n)
    expected = matrix[..., ~torch.eye(n, dtype=torch.bool)]
    assert torch.equal(off_diagonal(matrix), expected)
    assert torch.equal(off_diagonal(matrix.transpose(-1, -2)).sort().values, expected.sort().values)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auroc_counts_pairs_and_half_of_the_ties(levels):
    torch.manual_seed(levels)
    score = torch.randint(levels, (6, 6)) / levels
    truth = torch.rand(6, 6) < 0.4
    true = off_diagonal(score)[off_diagonal(truth)]
    false = off_diagonal(score)[~off_diagonal(truth)]
    difference = true.unsqueeze(1) - false
    expected = ((difference > 0) + 0.5 * (difference == 0)).mean()
    assert auroc(score, truth).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("truth", [torch.zeros(3, 3), torch.ones(3, 3)])
def test_auroc_without_both_kinds_of_pairs_is_chance(truth):
    assert auroc(torch.rand(3, 3), truth.bool()).item() == 0.5
