"""`PPOLoss`: its formulas by hand, the direction of its gradients, and its options."""

import math

import pytest
import torch
from torch import tensor
from torchrl.objectives.value import MultiAgentGAE

from helpers import random_rollout
from ilvf.credit import ILVFAdvantage
from ilvf.losses import ILVFLoss, PPOLoss
from ilvf.losses.ppo import clipped_surrogate, clipped_value_loss, huber, team_mean
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic, ValueNorm

N = 3  # agents
D = 4  # numbers of a state
A = 5  # actions


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def minibatch(actor, rows=200):
    """What a minibatch has, with the actions of `actor`."""
    td = random_rollout(rows, 1, N, D).reshape(-1)
    with torch.no_grad():
        actor(td)
    for key in ("advantage", "value_target", "normalised_value"):
        td["agents", key] = torch.randn(rows, N, 1)
    return td


def ppo_loss(critic=None, **options):
    actor = CategoricalActor(N, D, A, hidden=8)
    return PPOLoss(actor, critic or InfluenceCritic(N, D, A, hidden=8), **options)


def total(terms):
    """The sum that the optimiser minimises."""
    return sum(value for name, value in terms.items() if name.startswith("loss_"))


def descend(loss, td, steps):
    """Adam steps on one minibatch; the terms of every step."""
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-2)
    history = []
    for _ in range(steps):
        terms = loss(td)
        optimiser.zero_grad()
        total(terms).backward()
        optimiser.step()
        history.append(terms.detach())
    return history


# ---------------------------------------------------------------------- formulas
def test_huber_by_hand():
    """δ = 10: ½·3² = 4.5; 10·(25 − 5) = 200."""
    assert huber(tensor([3.0, -25.0]), 10.0).tolist() == pytest.approx([4.5, 200.0])


def test_value_clipping_by_hand():
    """Old value 0, clip 0.2, target 2.

    V = 1 is clipped to 0.2, whose error of 1.8 is the larger one. For V = −1 the clipped value is
    −0.2, and V's own error of 3 is the larger one.
    """
    value = tensor([1.0, -1.0])
    target = torch.full((2,), 2.0)
    loss = clipped_value_loss(value, torch.zeros(2), target, clip=0.2, delta=10.0)
    assert loss.tolist() == pytest.approx([0.5 * 1.8**2, 0.5 * 3**2])


def test_clipped_surrogate_by_hand():
    """ρ = 2 with Â = 1 gives 1.2, with Â = −1 it gives −2; ρ = 0.5 with Â = −1 gives −0.8."""
    log_prob = tensor([math.log(2), math.log(2), -math.log(2)])
    advantage = tensor([1.0, -1.0, -1.0])
    gain, ratio = clipped_surrogate(log_prob, torch.zeros(3), advantage, 0.2)
    assert ratio.tolist() == pytest.approx([2, 2, 0.5])
    assert gain.tolist() == pytest.approx([1.2, -2, -0.8])


def test_team_mean_sums_agents_and_averages_rows():
    assert team_mean(tensor([[1.0, 2.0], [3.0, 4.0]])).item() == 5.0  # (3 + 7) / 2


# ---------------------------------------------------------------------- direction
def test_actions_with_a_positive_advantage_become_more_likely():
    loss = ppo_loss()
    td = minibatch(loss.actor)
    is_good = td["agents", "action"] == 2
    td["agents", "advantage"] = is_good.float().unsqueeze(-1) - 0.2
    observation = td["agents", "observation"]
    before = loss.actor.log_probs(observation)[..., 2].mean()
    descend(loss, td, steps=5)
    assert loss.actor.log_probs(observation)[..., 2].mean() > before + 0.05


def test_values_approach_their_targets():
    loss = ppo_loss(value_clip=None)
    td = minibatch(loss.actor)
    td["agents", "value_target"] = td["agents", "state"][..., :1]  # a function of the state
    history = descend(loss, td, steps=60)
    assert history[-1]["loss_value"] < 0.3 * history[0]["loss_value"]
    assert history[-1]["loss_action_value"] < 0.6 * history[0]["loss_action_value"]


def test_values_in_reward_units_are_not_clipped_by_default():
    """The default radius is in normalised units: V would move 0.2 a rollout at any scale."""
    assert ppo_loss().value_clip is None
    assert ppo_loss(value_clip=3.0).value_clip == 3.0
    assert ppo_loss(value_norm=ValueNorm((N, 1))).value_clip == 0.2


# ---------------------------------------------------------------------- keys
def test_a_minibatch_of_the_in_keys_is_enough():
    loss = ppo_loss(value_clip=0.2)
    loss.set_keys(state="observation", value=("agents", "v"))
    td = minibatch(loss.actor)
    td["observation"] = td["agents", "state"]
    td["agents", "v"] = td["agents", "normalised_value"]
    assert {"observation", ("agents", "v")} <= set(loss.in_keys)
    for name in ("state", "normalised_value"):
        del td["agents", name]
    expected = loss(td.copy())["loss_value"]
    assert torch.equal(loss(td.select(*loss.in_keys))["loss_value"], expected)


# ---------------------------------------------------------------------- terms
def test_a_critic_without_q_has_no_q_loss():
    loss = ppo_loss(StateCritic(N, D, hidden=8))
    terms = loss(minibatch(loss.actor))
    losses = {"loss_objective", "loss_entropy", "loss_value"}
    assert set(terms.keys()) == losses | {"entropy", "clip_fraction", "kl"}


def test_the_ratio_of_fresh_data_is_one():
    loss = ppo_loss()
    terms = loss(minibatch(loss.actor))
    assert terms["clip_fraction"] == 0
    assert terms["kl"].abs() < 1e-6


@pytest.mark.parametrize(
    ("option", "term"),
    [
        ({"entropy": 0.5}, "loss_entropy"),
        ({"value": 3.0}, "loss_value"),
        ({"huber_delta": 0.1}, "loss_value"),
        ({"value_clip": 0.2}, "loss_value"),
    ],
)
def test_every_coefficient_changes_its_term(option, term):
    found = []
    for options in ({}, option):
        torch.manual_seed(3)
        loss = ppo_loss(**options)
        found.append(loss(minibatch(loss.actor))[term].item())
    assert found[0] != pytest.approx(found[1])


def test_the_clip_matters_once_the_policy_has_moved():
    found = []
    for clip in (0.05, 0.5):
        torch.manual_seed(3)
        loss = ppo_loss(clip=clip)
        td = minibatch(loss.actor)
        td["agents", "action_log_prob"] -= 0.2  # as if the policy had moved by ρ = e^0.2
        found.append(loss(td))
    assert found[0]["clip_fraction"] == 1
    assert found[1]["clip_fraction"] == 0
    assert found[0]["loss_objective"] != found[1]["loss_objective"]


def test_normalized_targets_free_the_loss_from_their_scale():
    found = []
    for scale, shift in ((1.0, 0.0), (50.0, -300.0)):
        torch.manual_seed(3)
        norm = ValueNorm((N, 1))
        loss = ppo_loss(StateCritic(N, D, hidden=8), value_norm=norm)
        td = minibatch(loss.actor)
        td["agents", "value_target"] = td["agents", "value_target"] * scale + shift
        norm.update(td["agents", "value_target"])
        found.append(loss(td)["loss_value"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_the_clipping_uses_the_normalized_state_value_without_the_critics_own_output():
    norm = ValueNorm((N, 1))
    norm.update(5 + 3 * torch.randn(100, N, 1))
    loss = ppo_loss(StateCritic(N, D, hidden=8), value_norm=norm)
    td = minibatch(loss.actor)
    expected = loss(td)["loss_value"]
    td["agents", "state_value"] = norm.denormalize(td["agents", "normalised_value"])
    del td["agents", "normalised_value"]
    assert torch.allclose(loss(td)["loss_value"], expected, atol=1e-5)


def test_the_loss_reads_what_the_advantage_writes():
    """The README's example: one advantage and one loss, without a trainer."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    actor = CategoricalActor(N, D, A, hidden=8)
    td = actor(random_rollout(6, 8, N, D))
    inner = MultiAgentGAE(gamma=0.9, lmbda=0.8, value_network=None)
    ILVFAdvantage(inner, critic.value_module())(td)
    terms = PPOLoss(actor, critic)(td.reshape(-1).detach())
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["clip_fraction"] == 0


# ---------------------------------------------------------------------- prior on few influences
def test_the_sparsity_term_is_the_mean_attention_to_others():
    """All logits are 0, so that w = ½, and Σ_i w̄_i = N/2, times s. Its gradient lowers weights."""
    loss = ppo_loss(sparsity=0.4)
    for p in loss.critic.attention.logits.head.parameters():
        p.data.zero_()
    td = minibatch(loss.actor)
    term = loss(td)["loss_sparsity"]
    assert term.item() == pytest.approx(0.4 * N / 2)
    term.backward()
    slope = loss.critic.attention.logits.head.bias.grad[:, 0]  # [N critics, N states]
    diagonal = torch.eye(N, dtype=torch.bool)
    assert (slope[~diagonal] > 0).all()
    assert not slope[diagonal].any()
    assert "loss_sparsity" not in ppo_loss()(td)


def test_sparsity_needs_a_critic_with_attention(refused):
    with refused("sparsity=0.1", "StateCritic"):
        ppo_loss(StateCritic(N, D, hidden=8), sparsity=0.1)


# ---------------------------------------------------------------------- arguments
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"clip": 0.0}, ("clip=0", "positive")),
        ({"entropy": -1.0}, ("entropy=-1", "not negative")),
        ({"value": -1.0}, ("value=-1", "not negative")),
        ({"huber_delta": 0.0}, ("huber_delta=0", "positive")),
        ({"value_clip": 0.0}, ("value_clip=0", "positive")),
        ({"sparsity": -1.0}, ("sparsity=-1", "not negative")),
        ({"klip": 0.2}, ("PPOLoss has no option 'klip'", "did you mean 'clip'")),
    ],
)
def test_a_bad_option_is_one_sentence(option, words, refused):
    with refused(*words):
        ppo_loss(**option)


def test_other_actors_are_refused(refused):
    with refused("PPOLoss needs a CategoricalActor", "found a Linear", "MAPPOLoss"):
        PPOLoss(torch.nn.Linear(1, 1), StateCritic(N, D, hidden=8))


def test_the_former_name_is_the_same_class():
    assert ILVFLoss is PPOLoss
