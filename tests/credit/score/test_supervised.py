"""`SupervisedInfluence`: evidence of the score test teaches the attention of a critic."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from ilvf.algorithms.ilvf_p import ILVFP
from ilvf.credit import ILVFAdvantage, ScoreInfluence, Soft, SupervisedInfluence
from ilvf.envs import make_env
from ilvf.losses import ActionValueLoss, PPOLoss
from ilvf.modules import InfluenceCritic, StateCritic
from ilvf.modules.attention import GumbelAttention
from score_helpers import A, D, N, actor_of, gae, ring, ring_rollout


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def with_states(td):
    for place in (td, td["next"]):
        place["agents", "state"] = torch.randn(*td.shape, N, D)
    return td


def parts(**options):
    """An actor, a critic, and the advantage whose influence is supervised."""
    actor = actor_of()
    critic = InfluenceCritic(N, D, A, hidden=8)
    source = SupervisedInfluence(ScoreInfluence(actor), **options)
    return actor, critic, ILVFAdvantage(gae(), critic.value_module(), source)


def attention(**options):
    """An attention, whose logits the tests make themselves."""
    return GumbelAttention(N, D, hidden=8, **options)


def test_the_evidence_is_in_the_rollout():
    actor, _, advantage = parts()
    td = advantage(with_states(ring_rollout(actor)))
    evidence = td["agents", "link_evidence"]
    assert evidence.shape == (*td.shape, N, N)
    assert torch.equal((evidence[3, 7] > 0.5).float(), ring())
    assert torch.equal(evidence[0, 0], advantage.source.test.found)
    assert "influence/links" in advantage.source.metrics()


def test_without_a_second_draw_the_evidence_stays():
    actor, _, advantage = parts()
    td = advantage(with_states(ring_rollout(actor)))
    before = td["agents", "link_evidence"].clone()
    advantage(td, redraw=False)
    assert torch.equal(td["agents", "link_evidence"], before)
    assert advantage.source.test.test_count == 1


def test_the_evidence_has_the_orientation_of_the_weights():
    actor, _, advantage = parts(orientation="attention")
    td = advantage(with_states(ring_rollout(actor)))
    assert torch.equal((td["agents", "link_evidence"][0, 0] > 0.5).float(), ring().T)


def test_the_attention_learns_the_links():
    """Value regression alone is random here: states say nothing about rewards."""
    actor, critic, advantage = parts()
    td = advantage(with_states(ring_rollout(actor)))
    loss = PPOLoss(actor, critic, supervision=1.0)
    batch = td.reshape(-1)
    assert ("agents", "link_evidence") in loss.batch_keys
    optimiser = torch.optim.Adam(critic.parameters(), 0.02)
    for _ in range(30):
        optimiser.zero_grad()
        loss(batch)["loss_supervision"].backward()
        optimiser.step()
    advantage(td)
    assert torch.equal(td["agents", "influence"].mean((0, 1)), ring())


def test_beside_a_loss_of_torchrl_it_is_the_same_term():
    actor, critic, advantage = parts()
    td = advantage(with_states(ring_rollout(actor, rows=4))).reshape(-1)
    expected = PPOLoss(actor, critic, supervision=0.7)(td)["loss_supervision"]
    terms = ActionValueLoss(critic, supervision=0.7)(td)
    assert torch.equal(terms["loss_supervision"], expected)
    assert set(terms.keys()) == {"loss_action_value", "loss_supervision"}
    assert set(ActionValueLoss(critic)(td).keys()) == {"loss_action_value"}


def test_many_weak_effects_are_evidence_as_one():
    """q_i says that the sum of the rest is moved: p rises to 1 − (1 − p)(1 − q_i) in row i."""
    test = ScoreInfluence(actor_of())
    test.rest_sum[1] = 6.0
    test.test_count += 1
    q = test.residual
    assert q[1] > 0.9 > 0.1 > q[0]
    assert torch.allclose(test.found[1, 3], 1 - (1 - test.p[1, 3]) * (1 - q[1]))
    alone = ScoreInfluence(actor_of(), residual=False)
    assert torch.equal(alone.found, alone.p)


# ---------------------------------------------------------------------- the term of the loss
def test_the_term_is_the_mean_cross_entropy_of_all_pairs():
    logits = torch.randn(7, N, N, dtype=torch.float64)
    evidence = torch.rand(7, N, N, dtype=torch.float64)
    w = torch.sigmoid(logits / 0.5)
    for i in range(N):
        others = [j for j in range(N) if j != i]
        expected = sum(
            binary_cross_entropy(w[:, i, j], evidence[:, j, i], reduction="none") for j in others
        )
        found = attention(tau=0.5).cross_entropy(logits, evidence)[:, i]
        torch.testing.assert_close(found, expected / (N - 1))


def test_links_of_the_dead_do_not_count():
    logits = torch.randn(1, N, N)
    evidence = torch.rand(1, N, N)
    living = torch.tensor([True, True, False, True, True]).view(1, N, 1)
    before = attention().cross_entropy(logits, evidence, living)
    evidence[:, 2] = 1 - evidence[:, 2]
    evidence[:, :, 2] = 1 - evidence[:, :, 2]
    assert torch.equal(attention().cross_entropy(logits, evidence, living), before)
    assert before[0, 2] == 0


def test_the_loss_says_who_writes_the_evidence(refused):
    actor, critic, advantage = parts()
    td = (
        advantage(with_states(ring_rollout(actor))).reshape(-1).exclude(("agents", "link_evidence"))
    )
    with refused("link_evidence", "SupervisedInfluence"):
        PPOLoss(actor, critic, supervision=1.0)(td)


# ---------------------------------------------------------------------- what is refused
def test_it_needs_a_score_test(refused):
    with refused("test must be a ScoreInfluence", "found a CategoricalActor"):
        SupervisedInfluence(actor_of())


def test_a_critic_without_attention_is_refused(refused):
    with refused("supervision=0.5", "StateCritic"):
        PPOLoss(actor_of(), StateCritic(N, D, hidden=8), supervision=0.5)


def test_only_a_learned_influence_is_taught(refused):
    critic = InfluenceCritic(N, D, A, hidden=8)
    with refused("supervision=1", "learned influence"):
        ILVFP(make_env, actor_of(), critic, influence=torch.eye(N), supervision=1.0)


def test_options_are_those_of_a_learned_influence():
    source = SupervisedInfluence(ScoreInfluence(actor_of()), discretise=Soft(), diagonal=False)
    assert isinstance(source.discretise, Soft)
    assert not source.diagonal
