"""Scores of our actors and of TorchRL's, and the gradient of the last layer."""

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import (
    Delta,
    IndependentNormal,
    MaskedCategorical,
    MultiAgentMLP,
    NormalParamExtractor,
    OneHotCategorical,
    ProbabilisticActor,
    TanhNormal,
)

from credit_helpers import A, B, D, N, T, acted_rollout
from helpers import torchrl_policy
from ilvf.credit import ScoreInfluence
from ilvf.credit.score.policies import joined, policy_scores, zero_sum_basis
from ilvf.errors import UsageError
from ilvf.modules import Box, CategoricalActor, GaussianActor
from ilvf.modules.agent_nets import layer_norm


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def our_actor(**options):
    """An actor whose policies are far from uniform."""
    return CategoricalActor(N, D, A, hidden=8, gain=3.0, **options)


def continuous_actor(distribution, width=2):
    """A TorchRL actor of one shared network with a location and a scale for each action."""
    keys = [("agents", "loc"), ("agents", "scale")]
    net = nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, 2 * width), NormalParamExtractor())
    return ProbabilisticActor(
        TensorDictModule(net, in_keys=[("agents", "observation")], out_keys=keys),
        in_keys=keys,
        out_keys=[("agents", "action")],
        distribution_class=distribution,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )


class Parameters(TensorDictModuleBase):
    """Writes location and scale of a `GaussianActor`."""

    def __init__(self, actor, keys):
        super().__init__()
        self.actor = actor
        self.in_keys = actor.in_keys
        self.out_keys = keys

    def forward(self, td):
        for key, value in zip(self.out_keys, self.actor.parameters_of(td), strict=True):
            td.set(key, value)
        return td


def acted(actor):
    """A rollout with actions sampled by `actor`."""
    td = acted_rollout().exclude(("agents", "action"), ("agents", "action_log_prob"))
    return actor(td).detach()


def kernel(score):
    """Inner products of all pairs of scores, which are what the test reads."""
    rows = score.flatten(0, 1).transpose(0, 1)
    return rows @ rows.mT


def test_the_basis_is_orthonormal_and_sums_to_zero():
    for n in (2, 3, 7):
        basis = zero_sum_basis(n)
        assert torch.allclose(basis.T @ basis, torch.eye(n - 1).double())
        assert torch.allclose(basis.sum(0), torch.zeros(n - 1).double(), atol=1e-12)


def test_the_categorical_score_is_onehot_minus_policy():
    actor = our_actor()
    td = acted(actor)
    pi = actor.log_probs(td["agents", "observation"]).exp()
    expected = nn.functional.one_hot(td["agents", "action"], A) - pi
    assert torch.allclose(kernel(policy_scores(actor, td).score), kernel(expected), atol=1e-5)


def test_torchrl_policies_have_the_same_score():
    actor = our_actor()
    td = acted(actor)
    ours = policy_scores(actor, td)
    theirs = policy_scores(torchrl_policy(actor), td)
    assert torch.allclose(kernel(ours.score), kernel(theirs.score), atol=1e-5)
    assert torch.equal(ours.observation, theirs.observation)
    assert torch.allclose(ours.observation, layer_norm(td["agents", "observation"]))


@pytest.mark.parametrize("shared", [False, True])
def test_score_and_hidden_are_the_gradient_of_the_last_layer(shared):
    actor = our_actor(share=shared)
    td = acted(actor)
    found = policy_scores(actor, td)
    in_logits = found.score @ zero_sum_basis(A).float().T
    gradient = torch.einsum("btnp,btnh->nhp", in_logits, found.hidden)
    log_prob, _ = actor.evaluate(td)
    log_prob.sum().backward()
    head = actor.net.head
    weight = gradient[:, :-1].sum(0, keepdim=True) if shared else gradient[:, :-1]
    assert torch.allclose(weight, head.weight.grad, atol=1e-4)
    assert torch.allclose(gradient[:, -1:], head.bias.grad, atol=1e-4)


@pytest.mark.parametrize("recurrent", ["gru", "lstm"])
def test_scores_of_a_recurrent_actor_are_those_of_its_recorded_memory(recurrent):
    actor = our_actor(recurrent=recurrent)
    td = acted_rollout()
    td["agents", "hidden"] = torch.randn(*td.shape, N, actor.memory.sizes[-1])
    td = actor(td).detach()
    found = policy_scores(actor, td)
    in_logits = found.score @ zero_sum_basis(A).float().T
    gradient = torch.einsum("btnp,btnh->nhp", in_logits, found.hidden)
    chosen = actor.log_probs_of(td).gather(-1, td["agents", "action"].unsqueeze(-1))
    assert torch.allclose(chosen.squeeze(-1), td["agents", "action_log_prob"])
    chosen.sum().backward()
    assert torch.allclose(gradient[:, :-1], actor.net.head.weight.grad, atol=1e-4)
    assert found.observation.shape[-1] == D + actor.memory.sizes[-1]


@pytest.mark.parametrize("distribution", ["normal", "tanh_normal"])
def test_the_score_of_a_gaussian_actor_is_that_of_torchrls_policy(distribution):
    """With parameters that a module writes; the scores of fixed numbers are 0."""
    low, high = torch.zeros(N, 2), torch.ones(N, 2)
    high[0, 1] = 0
    box = Box(low, high)
    actor = GaussianActor(N, D, box, hidden=8, gain=1.0, distribution=distribution, scale="state")
    td = acted(actor)
    found = policy_scores(actor, td)
    keys = [("agents", "loc"), ("agents", "scale")]
    if actor.squashed:  # TorchRL's policy records u = tanh x
        td["agents", "action_sample"] = td["agents", "action_sample"].tanh()
    theirs = ProbabilisticActor(
        Parameters(actor, keys),
        in_keys=keys,
        out_keys=[("agents", "action_sample")],
        distribution_class=TanhNormal if distribution == "tanh_normal" else IndependentNormal,
    )
    expected = policy_scores(theirs, td).score
    free = torch.cat([box.free, box.free], -1)
    assert torch.allclose(found.score, expected * free, atol=1e-4)
    assert not found.score[..., ~free].any()
    assert torch.equal(found.observation, layer_norm(td["agents", "observation"]))


@pytest.mark.parametrize("shared", [False, True])
def test_scores_of_locations_and_hidden_are_a_gradient_of_the_last_layer(shared):
    """Up to the units of the scores."""
    box = Box(-torch.ones(N, 1), torch.ones(N, 1))
    actor = GaussianActor(N, D, box, hidden=8, gain=1.0, share=shared)
    td = acted(actor)
    found = policy_scores(actor, td)
    loc, scale = actor.parameters_of(td)
    raw = (td["agents", "action_sample"] - loc) / scale.square()
    size = raw.square().flatten(0, 1).mean(0).sqrt()
    gradient = torch.einsum("btnp,btnh->nhp", found.score[..., :1] * size, found.hidden)
    actor.evaluate(td)[0].sum().backward()
    weight = gradient[:, :-1].sum(0, keepdim=True) if shared else gradient[:, :-1]
    assert torch.allclose(weight, actor.net.head.weight.grad, atol=1e-3)


def test_the_last_layer_of_a_torchrl_network_is_seen():
    actor = continuous_actor(torch.distributions.Normal)
    td = acted(actor)
    hidden = policy_scores(actor, td).hidden
    network = actor.module[0].module
    assert torch.equal(hidden[..., :-1], network[1](network[0](td["agents", "observation"])))


def test_without_a_visible_last_layer_the_observation_takes_its_place():
    """MultiAgentMLP without shared parameters runs its layers inside vmap."""
    net = MultiAgentMLP(D, A, N, centralized=False, share_params=False, depth=1, num_cells=8)
    logits = TensorDictModule(net, [("agents", "observation")], [("agents", "logits")])
    actor = ProbabilisticActor(
        logits,
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
    )
    found = policy_scores(actor, acted(actor))
    assert torch.equal(found.hidden[..., :-1], found.observation)


@pytest.mark.parametrize("distribution", [torch.distributions.Normal, TanhNormal])
def test_continuous_scores_have_mean_zero_and_size_one(distribution):
    actor = continuous_actor(distribution)
    td = acted_rollout(rows=64, steps=50).exclude(("agents", "action"))
    with set_exploration_type(ExplorationType.RANDOM):
        td = actor(td).detach()
    score = policy_scores(actor, td).score
    assert score.shape == (64, 50, N, 4)
    assert score.flatten(0, 1).mean(0).abs().max() < 5 / 3200**0.5
    assert torch.allclose(score.square().flatten(0, 1).mean(0), torch.ones(N, 4), rtol=1e-3)


@pytest.mark.parametrize("one_hot", [False, True])
def test_masked_and_one_hot_actions(one_hot):
    """Parameters of impossible actions have score 0."""
    if one_hot:
        actor = ProbabilisticActor(
            TensorDictModule(nn.Linear(D, A), [("agents", "observation")], [("agents", "logits")]),
            in_keys=[("agents", "logits")],
            out_keys=[("agents", "action")],
            distribution_class=OneHotCategorical,
        )
        score = policy_scores(actor, acted(actor)).score
        assert torch.allclose(score.sum(-1), torch.zeros(B, T, N), atol=1e-5)
        return
    actor = ProbabilisticActor(
        TensorDictModule(nn.Linear(D, A), [("agents", "observation")], [("agents", "logits")]),
        in_keys={"logits": ("agents", "logits"), "mask": ("agents", "action_mask")},
        out_keys=[("agents", "action")],
        distribution_class=MaskedCategorical,
    )
    td = acted_rollout()
    td["agents", "action_mask"] = torch.rand(B, T, N, A) < 0.5
    td["agents", "action_mask"][..., 0] = True
    found = policy_scores(actor, actor(td).detach()).score
    assert torch.isfinite(found).all()
    assert not found[~td["agents", "action_mask"]].any()


def test_groups_of_different_sizes_are_padded():
    first = policy_scores(our_actor(), acted(our_actor()))
    small = CategoricalActor(2, D, 2, hidden=4)
    td = small(acted_rollout(2))
    second = policy_scores(small, td)
    both = joined([first, second])
    assert both.score.shape == (B, T, N + 2, A - 1)
    assert torch.equal(both.score[:, :, N:, :1], second.score)
    assert not both.score[:, :, N:, 1:].any()
    assert both.hidden.shape[-1] == 9


def test_other_actors_are_refused_in_one_sentence():
    net = TensorDictModule(nn.Linear(D, A), [("agents", "observation")], [("agents", "logits")])
    for wrong in (net, None, [], {"agents": net}):
        with pytest.raises(UsageError, match=r"ScoreInfluence needs .* found"):
            ScoreInfluence(wrong)


def test_a_deterministic_actor_is_refused():
    net = TensorDictModule(nn.Linear(D, 2), [("agents", "observation")], [("agents", "param")])
    actor = ProbabilisticActor(
        net,
        in_keys=[("agents", "param")],
        out_keys=[("agents", "action")],
        distribution_class=Delta,
    )
    with pytest.raises(UsageError, match="Delta is no stochastic policy"):
        policy_scores(actor, acted(actor))
