"""`SparseInfluence`: the same numbers as the matrix that it stands for."""

import pytest
import torch

from credit_helpers import gae
from ilvf.analysis import density
from ilvf.credit import FixedInfluence, ILVFAdvantage, InfluenceSource, SparseInfluence
from ilvf.credit.functional import local_advantage
from ilvf.errors import UsageError
from score_helpers import actor_of, ring_rollout

N = 6
K = 3
B = (4, 7)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def index():
    return torch.rand(N, N).argsort(-1)[:, :K]


CASES = {
    "one matrix": lambda: SparseInfluence(index(), torch.rand(N, K)),
    "and others": lambda: SparseInfluence(index(), torch.rand(N, K), torch.rand(N)),
    "in every state": lambda: SparseInfluence(index(), torch.rand(*B, N, K)),
    "state and others": lambda: SparseInfluence(index(), torch.rand(*B, N, K), torch.rand(N)),
    "by return": lambda: SparseInfluence(index(), torch.rand(N, K), by_return=True),
    "by return, states": lambda: SparseInfluence(index(), torch.rand(*B, N, K), by_return=True),
}


@pytest.mark.parametrize("case", CASES)
def test_it_mixes_advantages_as_its_matrix_does(case):
    sparse = CASES[case]()
    advantage = torch.randn(*B, N, 1)
    wanted = local_advantage(sparse.dense(), advantage)
    assert torch.allclose(local_advantage(sparse, advantage), wanted, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_its_density_is_that_of_its_matrix(case):
    sparse = CASES[case]()
    assert torch.isclose(sparse.density(), density(sparse.dense()))


def test_a_row_by_return_names_the_acting_agents():
    sparse = SparseInfluence(torch.tensor([[0, 1], [1, 2], [2, 0]]), torch.ones(3, 2))
    wanted = torch.tensor([[1.0, 1, 0], [0, 1, 1], [1, 0, 1]])
    assert torch.equal(sparse.dense(), wanted)
    by_return = SparseInfluence(sparse.index, sparse.value, by_return=True)
    assert torch.equal(by_return.dense(), wanted.T)


@pytest.mark.parametrize(
    ("matrix", "candidates"),
    [(torch.ones(N, N), 1), (torch.eye(N), 1), (torch.eye(N) + torch.eye(N).roll(1, 1), 2)],
)
def test_a_sparse_matrix_has_few_candidates(matrix, candidates):
    sparse = SparseInfluence.of(matrix)
    assert torch.equal(sparse.dense(), matrix)
    assert sparse.index.shape == (N, candidates)


def test_a_fixed_influence_can_mix_sparsely():
    rollout = ring_rollout(actor_of(N))
    graph = torch.eye(N) + 0.5 * torch.eye(N).roll(1, 1) + 0.1
    graph = graph / graph.max()
    found = []
    for sparse in (False, True):
        source = FixedInfluence(graph, sparse=sparse)
        found.append(ILVFAdvantage(gae(), influence=source)(rollout.copy())["agents", "advantage"])
    assert torch.allclose(*found, atol=1e-4)


class Own(InfluenceSource):
    """A source of one's own that returns `made`."""

    def __init__(self, made):
        super().__init__()
        self.made = made

    def influence(self, tensordict, key, like):
        return self.made


class Whole(Own):
    """One that can also make it again."""

    def drawn(self, value):
        return self.made


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (SparseInfluence(torch.zeros(N, 1).long(), 2 * torch.ones(N, 1)), "need [0, 1]"),
        (
            SparseInfluence(torch.zeros(N, 1).long(), torch.ones(N, 1), -torch.ones(N)),
            "need [0, 1]",
        ),
        (SparseInfluence(torch.full((N, 1), N), torch.ones(N, 1)), "not among 6 agents"),
        (SparseInfluence(torch.zeros(N + 1, 1).long(), torch.ones(N + 1, 1)), "need (6, 'K')"),
    ],
)
def test_wrong_weights_of_a_source_of_ones_own_are_one_sentence(made, sentence):
    with pytest.raises(UsageError) as error:
        ILVFAdvantage(gae(), influence=Whole(made))(ring_rollout(actor_of(N)))
    assert sentence in str(error.value)


def test_a_sparse_source_of_ones_own_has_to_make_it_again():
    rollout = ring_rollout(actor_of(N))
    made = SparseInfluence(torch.arange(N).unsqueeze(-1), torch.ones(N, 1))
    td = ILVFAdvantage(gae(), influence=Whole(made), normalize="none")(rollout.copy())
    assert torch.equal(td["agents", "advantage"], td["agents", "individual_advantage"])
    with pytest.raises(UsageError, match="write its method drawn"):
        ILVFAdvantage(gae(), influence=Own(made))(rollout.copy())


@pytest.mark.parametrize("case", CASES)
def test_it_is_made_again_of_what_a_rollout_keeps(case):
    sparse = CASES[case]()
    kept = sparse.kept(torch.zeros(*B, N, 1))
    again = SparseInfluence.again(sparse.index, kept, by_return=sparse.by_return)
    assert torch.equal(again.dense(), sparse.dense().expand(*B, N, N))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_a_fixed_graph_of_truths_can_mix_sparsely(dtype):
    rollout = ring_rollout(actor_of(N))
    source = FixedInfluence(torch.eye(N).to(dtype), sparse=True)
    td = ILVFAdvantage(gae(), influence=source, normalize="none")(rollout)
    assert torch.allclose(td["agents", "advantage"], td["agents", "individual_advantage"])
