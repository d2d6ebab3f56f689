"""Critics that see their neighbours alone."""

import pytest
import torch
from torch.nn import functional as F

from ilvf.credit import LearnedInfluence, Threshold
from ilvf.envs.nearest import nearest_agents
from ilvf.errors import UsageError
from ilvf.losses import ActionValueLoss, PPOLoss
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic
from ilvf.modules.neighbours import gathered

N = 6  # agents
D = 4  # numbers of a state
A = 3  # actions
B = 5  # rows
NEAR = nearest_agents(None, N, 2)  # the own one, and one on each side


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def moved(state, agent):
    """The states with another state of one agent."""
    other = state.clone()
    other[:, agent] = torch.randn(D)
    return other


def depends(before, after):
    """The agents whose entry differs."""
    return [i for i in range(N) if not torch.allclose(before[:, i], after[:, i], atol=1e-6)]


def test_states_are_gathered_in_the_order_of_the_neighbours():
    state = torch.randn(B, N, D)
    found = gathered(state, NEAR)
    assert torch.equal(found[2, 0], state[2, [0, 1, 5]])


@pytest.mark.parametrize("share", [False, True])
def test_with_all_agents_the_state_critic_is_the_one_of_the_joint_state(share):
    """Its first layer has the same rows, in the order of each critic's neighbours."""
    everyone = nearest_agents(None, N, N)
    near = StateCritic(N, D, neighbours=everyone, share=share)
    joint = StateCritic(N, D)
    joint.value.load_state_dict(StateCritic(N, D).value.state_dict())
    state = torch.randn(B, N, D)
    blocks = near.first.weight.expand(N, -1, -1).unflatten(1, (N, D))
    with torch.no_grad():
        for i in range(N):
            by_agent = torch.empty(N, *blocks.shape[2:])
            by_agent[everyone[i]] = blocks[i]
            joint.first.weight[i] = by_agent.flatten(0, 1)
    assert torch.allclose(near.first_layer(state), joint.first_layer(state), atol=1e-5)


@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_a_state_critic_depends_on_its_neighbours_alone(recurrent):
    critic = StateCritic(N, D, neighbours=NEAR, recurrent=recurrent)
    state = torch.randn(B, N, D)
    hidden = None if recurrent == "none" else torch.zeros(B, N, 64)
    assert depends(critic(state, hidden), critic(moved(state, 3), hidden)) == [2, 3, 4]


def test_an_influence_critic_depends_on_its_neighbours_alone():
    critic = InfluenceCritic(N, D, A, neighbours=NEAR)
    state = torch.randn(B, N, D)
    value, weight, logits = critic(state)
    assert weight.shape == logits.shape == (B, N, 3)
    assert torch.allclose(weight, torch.sigmoid(logits))
    after, weight_after, _ = critic(moved(state, 3))
    assert depends(value, after) == [2, 3, 4]
    assert depends(weight, weight_after) == [2, 3, 4]


def test_q_reads_the_actions_of_neighbours_alone():
    critic = InfluenceCritic(N, D, A, neighbours=NEAR)
    state = torch.randn(B, N, D)
    action = torch.zeros(B, N, dtype=torch.int64)
    other = action.clone()
    other[:, 3] = 1
    found = []
    for acted in (action, other):
        torch.manual_seed(1)  # the same noise
        found.append(critic.predict(state, acted)[1])
    assert depends(*found) == [2, 3, 4]


def test_its_first_layers_are_the_equations():
    first = InfluenceCritic(N, D, A, neighbours=NEAR).first
    state = torch.randn(B, N, D)
    weight = torch.rand(B, N, 3)
    joint = torch.randn(B, N * A)
    prepared = first.prepare(state)
    value = first.value(prepared, weight)
    action_value = first.action_value(prepared, weight, joint)
    for i in range(N):
        seen = state[:, NEAR[i]]
        weighted = weight[:, i].unsqueeze(-1) * seen
        x = F.layer_norm(weighted.flatten(1), (3 * D,))
        wanted = x @ first.of_value.weight[i] + first.of_value.bias[i]
        assert torch.allclose(value[i], wanted, atol=1e-5)
        acted = joint.unflatten(1, (N, A))[:, NEAR[i]].flatten(1)
        total = F.layer_norm(weighted.sum(1), (D,)) @ first.of_sum.weight[i]
        wanted = total + acted @ first.of_action.weight[i] + first.of_action.bias[i]
        assert torch.allclose(action_value[i], wanted, atol=1e-5)


@pytest.mark.parametrize("initial", ["identity", "ones"])
def test_the_attention_starts_as_it_is_asked_to(initial):
    critic = InfluenceCritic(N, D, A, neighbours=NEAR, initial=initial)
    weight = critic(torch.randn(B, N, D))[1]
    assert (weight[..., 0] > 0.8).all()
    assert ((weight[..., 1:] > 0.8) == (initial == "ones")).all()


@pytest.mark.parametrize("orientation", ["influence", "attention"])
def test_learned_weights_become_the_same_influence_as_those_of_all_pairs(orientation):
    """A critic's row j has w_ji for the agents i that it sees; all others have 0."""
    weight = torch.rand(B, N, 3)
    by_critic = torch.zeros(B, N, N).scatter(-1, NEAR.expand(B, N, 3), weight)
    options = {"discretise": Threshold(0.5), "orientation": orientation}
    sparse = LearnedInfluence(neighbours=NEAR, **options)
    whole = LearnedInfluence(**options)
    drawn = sparse.drawn(sparse.draw_candidates(weight)).dense()
    assert torch.equal(drawn, whole.draw(by_critic.transpose(-1, -2)))


def test_terms_of_the_attention_to_all_agents_are_refused():
    actor = CategoricalActor(N, D, A)
    critic = InfluenceCritic(N, D, A, neighbours=NEAR)
    for name in ("sparsity", "supervision"):
        with pytest.raises(UsageError, match="attends to its neighbours alone"):
            PPOLoss(actor, critic, **{name: 1.0})
    with pytest.raises(UsageError, match="attends to its neighbours alone"):
        ActionValueLoss(critic, supervision=1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: StateCritic(N, D, neighbours=NEAR, shared_first=True),
        lambda: InfluenceCritic(N, D, A, neighbours=NEAR, shared_first=True),
    ],
)
def test_neighbours_and_shared_first_layers_exclude_each_other(make):
    with pytest.raises(UsageError, match="shared_first is for critics of all agents"):
        make()
