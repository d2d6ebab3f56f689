"""`ScoreInfluence` that tells neighbours apart: against the one that tells all agents apart."""

import copy

import pytest
import torch

from ilvf.credit import ScoreInfluence, SupervisedInfluence
from ilvf.envs.nearest import nearest_agents
from ilvf.errors import UsageError
from score_helpers import actor_of, advantage_with, ring_rollout

N = 8


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def near(k, n=N):
    return nearest_agents(None, n, k)


def after(rollouts, actor, **options):
    """A source that has seen these rollouts."""
    source = ScoreInfluence(actor, **options)
    for rollout in rollouts:
        advantage_with(source)(rollout.copy())
    return source


@pytest.mark.parametrize("options", [{}, {"prior": "team"}, {"residual": False}])
def test_with_all_agents_as_neighbours_nothing_changes(options):
    actor = actor_of(N)
    rollouts = [ring_rollout(actor) for _ in range(3)]
    whole = after(rollouts, actor, **options)
    sparse = after(rollouts, actor, neighbours=near(N), **options)
    assert torch.allclose(sparse.columns.dense(sparse.z), whole.z, atol=1e-3)
    assert torch.allclose(sparse.columns.dense(sparse.p), whole.p, atol=1e-3)
    assert torch.allclose(sparse.columns.dense(sparse.matrix), whole.matrix, atol=1e-3)
    assert torch.isclose(sparse.metrics()["influence/links"], whole.metrics()["influence/links"])


def test_neighbours_are_tested_as_among_all_agents():
    actor = actor_of(N)
    rollouts = [ring_rollout(actor) for _ in range(3)]
    whole = after(rollouts, actor)
    sparse = after(rollouts, actor, neighbours=near(2))
    assert torch.allclose(sparse.z, whole.z.gather(-1, near(2)), atol=1e-3)
    assert torch.allclose(sparse.signal[:, :-1].sign(), whole.signal.gather(-1, near(2)).sign())
    found = sparse.matrices()["influence Ŵ"]
    assert torch.equal((found > 0.5), (whole.matrix > 0.5))
    assert (found - whole.matrix).abs().max() < 0.1


def test_many_weak_effects_of_others_are_credited_as_a_sum():
    """Every agent's action 0 costs itself 1 and gives 0.3 to each of nine others, noise 3."""
    n = 10
    actor = actor_of(n)
    source = ScoreInfluence(actor, neighbours=near(2, n))
    advantage = advantage_with(source)
    for _ in range(8):
        td = ring_rollout(actor, rows=64, steps=50, effect=0.0)
        gives = (td["agents", "action"] == 0).float()
        effect = 0.3 * (gives.sum(-1, keepdim=True) - gives) - gives
        td["next", "agents", "reward"] = (effect + 3 * torch.randn_like(effect)).unsqueeze(-1)
        td = advantage(td)
    matrix = source.matrices()["influence Ŵ"]
    towards_giving = matrix.sum(-1) * 0.3 - 1.3 * matrix.diagonal()
    assert (towards_giving > 0).float().mean() >= 0.8


def test_agents_are_studied_in_parts_with_the_same_result(monkeypatch):
    actor = actor_of(N)
    rollouts = [ring_rollout(actor, rows=8) for _ in range(2)]
    whole = after(rollouts, actor)
    monkeypatch.setattr("ilvf.credit.score.source.CHUNK", 3 * N * N)
    parts = after(rollouts, actor)
    assert len(parts.columns.chunks(3 * N * N, 1)) == 3
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_its_state_continues_bit_by_bit_and_has_no_pairs_of_all_agents():
    actor = actor_of(N)
    rollouts = [ring_rollout(actor, rows=8) for _ in range(3)]
    whole = after(rollouts, actor, neighbours=near(2))
    resumed = ScoreInfluence(actor, neighbours=near(2))
    resumed.load_state_dict(after(rollouts[:2], actor, neighbours=near(2)).state_dict())
    copied = copy.deepcopy(resumed)
    for source in (resumed, copied):
        advantage_with(source)(rollouts[2].copy())
        for name, value in whole.state_dict().items():
            assert torch.equal(value, source.state_dict()[name]), name
    sizes = {name: value.numel() for name, value in whole.state_dict().items()}
    assert max(sizes.values()) <= N * 4 * 4


def test_the_rollout_keeps_the_weights_of_its_own_influence():
    actor = actor_of(N)
    source = ScoreInfluence(actor, neighbours=near(2))
    advantage = advantage_with(source)
    td = advantage(ring_rollout(actor))
    assert torch.equal(td["agents", "influence"][3, 7], source.matrix)
    advantage(ring_rollout(actor))
    assert not torch.equal(td["agents", "influence"][3, 7], source.matrix)
    again = advantage(td.copy(), redraw=False)
    assert torch.equal(again["agents", "advantage"], td["agents", "advantage"])
    p, influence = advantage.influence_in(td)
    assert p.shape == influence.shape == (64, 20, N, N)


def test_it_teaches_no_attention():
    test = ScoreInfluence(actor_of(N), neighbours=near(2))
    with pytest.raises(UsageError, match="leave out its neighbours"):
        SupervisedInfluence(test)
