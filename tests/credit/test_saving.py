"""A credit pipeline is saved, loaded, converted and copied with all that it reads."""

import copy

import pytest
import torch
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import GAE

from credit_helpers import (
    GAMMA,
    LMBDA,
    A,
    D,
    N,
    acted_rollout,
    gae,
    influence_values,
    set_agent_keys,
)
from helpers import torchrl_policy
from ilvf.credit import Bernoulli, ILVFAdvantage, LearnedInfluence, ScoreInfluence, Soft
from ilvf.modules import CategoricalActor, InfluenceCritic, RelevanceCritic, StateCritic, ValueNorm


def with_critic():
    return ILVFAdvantage(gae(), influence_values(), discretise=Soft())


def with_samples():
    return ILVFAdvantage(gae(), influence_values(), discretise=Bernoulli())


def with_a_network_in_the_inner_estimator():
    inner = GAE(gamma=GAMMA, lmbda=LMBDA, value_network=influence_values())
    return ILVFAdvantage(inner)


def with_a_writer():
    critic = StateCritic(N, D, hidden=8)
    writer = RelevanceCritic(N, D, A, hidden=8).relevance_module(state_key="observation")
    source = LearnedInfluence(Soft(), writer=writer)
    return ILVFAdvantage(gae(), critic.value_module(state_key="observation"), source)


def with_a_value_norm():
    norm = ValueNorm((N, 1))
    norm.update(100 + 10 * torch.randn(50, N, 1))
    critic = InfluenceCritic(N, D, A, hidden=8)
    value = critic.value_module(state_key="observation", norm=norm)
    return ILVFAdvantage(gae(), value, discretise=Soft())


def with_a_score_test():
    actor = CategoricalActor(N, D, A, hidden=8)
    estimator = ILVFAdvantage(gae(), influence_values(), ScoreInfluence(actor))
    torch.manual_seed(5)
    for _ in range(2):
        estimator(played_by(actor))
    return estimator


PIPELINES = [
    with_critic,
    with_samples,
    with_a_network_in_the_inner_estimator,
    with_a_writer,
    with_a_value_norm,
    with_a_score_test,
]


def played_by(actor):
    """A rollout whose actions are the actor's."""
    td = acted_rollout(rows=10, steps=20)
    with torch.no_grad():
        return actor(td)


@pytest.fixture(params=PIPELINES, ids=lambda make: make.__name__)
def pair(request):
    """Two pipelines that are built alike, with different weights."""
    torch.manual_seed(0)
    first = request.param()
    torch.manual_seed(1)
    return first, request.param()


@pytest.fixture
def td():
    torch.manual_seed(2)
    return acted_rollout()


def advantages(estimator, td):
    torch.manual_seed(3)  # of the samples
    redraw = not estimator.source.observes  # what has been observed is kept
    return estimator(td.clone(), redraw=redraw)["agents", "advantage"]


def reloaded(state, folder):
    """A state that has been in a file; nothing in the file is executed."""
    torch.save(state, folder / "credit.pt")
    return torch.load(folder / "credit.pt", weights_only=True)


# ---------------------------------------------------------------------- save and load
def test_a_reloaded_pipeline_computes_the_same_advantages(pair, td, tmp_path):
    saved, new = pair
    state = reloaded(saved.state_dict(), tmp_path)
    expected = advantages(saved, td)
    assert not torch.equal(advantages(copy.deepcopy(new), td), expected)
    new.load_state_dict(state)
    assert torch.equal(advantages(new, td), expected)


def test_a_state_without_the_critic_is_refused():
    state = ILVFAdvantage(gae()).state_dict()
    with pytest.raises(RuntimeError, match="value_network"):
        with_critic().load_state_dict(state)


# ---------------------------------------------------------------------- in a loss
def loss_with(functional, wrapped):
    critic = InfluenceCritic(N, D, A, hidden=8)
    value = critic.value_module(state_key="observation")
    policy = torchrl_policy(
        CategoricalActor(N, D, A, hidden=8), log_prob_key=("agents", "action_log_prob")
    )
    loss = MAPPOLoss(policy, value, functional=functional)
    inner = GAE(gamma=GAMMA, lmbda=LMBDA, value_network=value) if wrapped else gae()
    loss.make_value_estimator(ILVFAdvantage(inner, None if wrapped else value))
    return set_agent_keys(loss)


@pytest.fixture(params=[True, False], ids=["functional", "not functional"])
def functional(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["wrapped", "instance"])
def wrapped(request):
    return request.param


@pytest.fixture
def losses(functional, wrapped):
    torch.manual_seed(0)
    first = loss_with(functional, wrapped)
    return first, loss_with(functional, wrapped)


def test_a_loss_counts_the_parameters_of_the_critic_once(losses):
    loss, _ = losses
    parameters = list(loss.parameters())
    assert len({id(parameter) for parameter in parameters}) == len(parameters)
    assert all(name.startswith(("actor", "critic")) for name, _ in loss.named_parameters())
    torch.optim.Adam(loss.parameters())


def test_a_reloaded_loss_computes_the_same_advantages(losses, td, tmp_path):
    saved, new = losses
    new.load_state_dict(reloaded(saved.state_dict(), tmp_path))
    assert torch.equal(advantages(new.value_estimator, td), advantages(saved.value_estimator, td))


def test_the_state_of_a_loss_of_an_older_version_is_loaded_with_a_warning(losses, td):
    saved, new = losses
    state = saved.state_dict()
    old = {key: value for key, value in state.items() if "estimator.value_network" not in key}
    assert len(old) < len(state)
    with pytest.warns(UserWarning, match="older version"):
        new.load_state_dict(old)
    assert torch.equal(advantages(new.value_estimator, td), advantages(saved.value_estimator, td))


# ---------------------------------------------------------------------- move and copy
def test_the_critic_is_converted_with_its_estimator(pair, td):
    _, estimator = pair
    estimator = estimator.double()
    network = estimator.value_network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}
    wide = td.apply(lambda x: x.double() if x.is_floating_point() else x)
    assert advantages(estimator, wide).dtype == torch.float64


def test_a_copy_is_independent_of_the_original(pair, td):
    original, _ = pair
    twin = copy.deepcopy(original)
    expected = advantages(copy.deepcopy(original), td)
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.zero_()
    assert torch.equal(advantages(twin, td), expected)


def test_a_copied_score_test_reads_the_actor_that_collects():
    estimator = with_a_score_test()
    [actor] = estimator.source.actors
    twin = copy.deepcopy(estimator)
    assert twin.source.actors == (actor,)
    assert twin.source.z_sum is not estimator.source.z_sum
    assert torch.equal(twin.source.matrix, estimator.source.matrix)
    assert all(parameter.requires_grad for parameter in actor.parameters())


def test_the_score_test_in_a_copied_loss_reads_the_copied_actor():
    estimator = with_a_score_test()
    pipeline = torch.nn.ModuleDict({"actor": estimator.source.actors[0], "credit": estimator})
    twin = copy.deepcopy(pipeline)
    assert twin["actor"] is not pipeline["actor"]
    assert twin["credit"].source.actors == (twin["actor"],)
