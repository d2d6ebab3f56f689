"""Recurrent cells of all agents: against torch's own cells, one agent at a time."""

import pytest
import torch
from tensordict import TensorDict
from torch import nn

from ilvf.modules import (
    AgentMLP,
    CategoricalActor,
    CentralCritic,
    GreedyActor,
    JointCritic,
    LocalCritic,
    StateCritic,
)
from ilvf.modules.actors.greedy import RandomFirst
from ilvf.modules.memory import AgentGRU, AgentLSTM

N = 3  # agents
C = 4  # sequences
L = 6  # steps
D = 5  # numbers of an observation
H = 8  # units
KINDS = {"gru": (AgentGRU, nn.GRU), "lstm": (AgentLSTM, nn.LSTM)}
KEY = ("agents", "hidden")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def cells(kind, share=False):
    """Our cells with parameters that are not small, and torch's class."""
    ours, reference = KINDS[kind]
    memory = ours(N, H, KEY, share=share)
    for parameter in memory.parameters():
        parameter.data.normal_()
    return memory, reference


def plain(memory, reference, i):
    """Agent i's cell as torch's, with the same parameters."""
    cell = reference(H, H, batch_first=True)
    row = i if len(memory.of_input.weight) > 1 else 0
    cell.weight_ih_l0.data = memory.of_input.weight[row].T.detach().clone()
    cell.weight_hh_l0.data = memory.of_state.weight[row].T.detach().clone()
    cell.bias_ih_l0.data = memory.of_input.bias[i, 0].detach().clone()
    cell.bias_hh_l0.data = memory.of_state.bias[i, 0].detach().clone()
    return cell


def of_torch(state, kind):
    """The state `[C, S]` of one agent as torch's cells take it."""
    parts = tuple(part.unsqueeze(0).contiguous() for part in state.split(H, -1))
    return parts if kind == "lstm" else parts[0]


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_equals_torchs_cell_of_every_agent(kind, share):
    memory, reference = cells(kind, share)
    x = torch.randn(N, C, L, H)
    state = torch.randn(C, N, memory.sizes[-1])
    never = torch.zeros(C, L, dtype=torch.bool)
    features, after = memory(x.flatten(1, 2), (C, L), state, never)
    for i in range(N):
        wanted, last = plain(memory, reference, i)(x[i], of_torch(state[:, i], kind))
        assert torch.allclose(features[i].unflatten(0, (C, L)), wanted, atol=1e-5)
        last = torch.cat(last, -1)[0] if kind == "lstm" else last[0]
        assert torch.allclose(after[:, -1, i], last, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_equals_its_steps_and_forgets_where_an_episode_ends(kind):
    memory, _ = cells(kind)
    x = torch.randn(N, C, L, H)
    state = torch.randn(C, N, memory.sizes[-1])
    done = torch.rand(C, L) < 0.3
    assert done[:, :-1].any()
    assert not done.all()
    features, after = memory(x.flatten(1, 2), (C, L), state, done)
    for step in range(L):
        found, state = memory(x[:, :, step], (C,), state, None)
        assert torch.allclose(features.unflatten(1, (C, L))[:, :, step], found, atol=1e-6)
        assert torch.allclose(after[:, step], state, atol=1e-6)
        state = state.masked_fill(done[:, step, None, None], 0)


def test_nothing_flows_back_across_the_end_of_an_episode():
    memory, _ = cells("gru")
    x = torch.randn(N, C * L, H, requires_grad=True)
    done = torch.zeros(C, L, dtype=torch.bool)
    done[0, 2] = True
    features, _ = memory(x, (C, L), memory.start(C), done)
    features.unflatten(1, (C, L))[:, :, -1].sum().backward()
    reached = x.grad.unflatten(1, (C, L)).abs().sum((0, -1)) > 0
    assert reached[1:].all()
    assert reached[0].tolist() == [False, False, False, True, True, True]


def test_a_state_that_is_not_finite_ends_with_its_episode():
    memory, _ = cells("gru")
    done = torch.ones(C, 2, dtype=torch.bool)
    bad = torch.full((C, N, H), float("nan"))
    features, after = memory(torch.randn(N, C * 2, H), (C, 2), bad, done)
    assert features.unflatten(1, (C, 2))[:, :, 1].isfinite().all()
    assert after[:, 1].isfinite().all()


# ---------------------------------------------------------------------- actors and critics
def recorded(actor):
    """Chunks `[C, L]` as a collection leaves them: every step with its own hidden state."""
    done = torch.rand(C, L, 1) < 0.3
    steps = []
    hidden = torch.randn(C, N, actor.memory.sizes[-1])
    for step in range(L):
        agents = {"observation": torch.randn(C, N, D), "hidden": hidden}
        td = actor(TensorDict({"agents": agents, "next": {"done": done[:, step]}}, [C]))
        hidden = td["next", "agents", "hidden"].masked_fill(done[:, step].unsqueeze(-1), 0)
        steps.append(td)
    return torch.stack(steps, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_have_the_probabilities_of_the_steps_that_were_taken(kind):
    actor = CategoricalActor(N, D, 4, hidden=H, gain=1.0, recurrent=kind)
    chunks = recorded(actor).detach()
    log_prob, entropy = actor.evaluate(chunks)
    taken = chunks["agents", "action_log_prob"]
    assert torch.allclose(log_prob, taken, atol=1e-5)
    assert entropy.shape == (C, L, N)
    alone = actor.log_probs_of(chunks)  # every step from its own hidden state
    assert torch.allclose(
        alone.gather(-1, chunks["agents", "action"].unsqueeze(-1)).squeeze(-1), taken, atol=1e-5
    )
    forgetful = actor.log_probs(
        chunks["agents", "observation"], hidden=torch.zeros_like(chunks["agents", "hidden"])
    )
    assert not torch.allclose(alone, forgetful, atol=1e-3)


def test_a_mask_and_a_memory_go_together():
    actor = CategoricalActor(N, D, 4, hidden=H, masked=True, recurrent="gru")
    mask = torch.rand(C, N, 4) < 0.5
    mask[..., 1] = True
    agents = {"observation": torch.randn(C, N, D), "action_mask": mask}
    td = TensorDict({"agents": {**agents, "hidden": actor.memory.start(C)}}, [C])
    action = actor(td)["agents", "action"]
    assert mask.gather(-1, action.unsqueeze(-1)).all()


def test_random_actions_are_remembered_as_the_actors_own():
    """The hidden states do not depend on who acts; the next observation does."""
    actor = GreedyActor(N, D, 4, hidden=H, gain=1.0, recurrent="gru")
    explorer = RandomFirst(actor)
    agents = {"observation": torch.randn(500, N, D), "hidden": torch.randn(500, N, H)}
    td = TensorDict({"agents": agents}, [500])
    own = actor(td.clone())
    explorer.random = True
    random = explorer(td.clone())
    assert torch.equal(random["next"][KEY], own["next"][KEY])
    same = (random["agents", "action"] == own["agents", "action"]).float().mean()
    assert same.item() == pytest.approx(1 / 4, abs=0.06)
    assert set(explorer.out_keys) == {("agents", "action"), ("next", *KEY)}


@pytest.mark.parametrize("critic", [StateCritic, LocalCritic, CentralCritic])
def test_a_critic_values_sequences_as_it_values_their_steps(critic):
    critic = critic(N, D, hidden=H, recurrent="gru")
    state = torch.randn(C, L, N, D)
    done = torch.rand(C, L) < 0.3
    hidden = critic.memory.start(C)
    values, no_q = critic.predict(state, None, hidden, done)
    assert no_q is None
    for step in range(L):
        value, hidden = critic.recall(state[:, step], hidden)
        assert torch.allclose(values[:, step], value, atol=1e-6)
        hidden = hidden.masked_fill(done[:, step, None, None], 0)


def test_missing_hidden_states_are_one_sentence(refused):
    actor = CategoricalActor(N, D, 4, hidden=H, recurrent="gru")
    observation = torch.randn(C, N, D)
    alone = TensorDict({"agents": {"observation": observation}}, [C])
    with refused("('agents', 'hidden') is needed", "with_memory"):
        actor(alone)
    with refused("('agents', 'hidden') is needed"):
        actor.evaluate(alone)
    with refused("('agents', 'hidden')", "missing", "with_memory"):
        actor.log_probs(observation)
    with refused("critic_hidden", "missing"):
        StateCritic(N, D, hidden=H, recurrent="gru")(observation)
    with refused("('next', 'done') is needed", "where episodes end"):
        actor.evaluate(alone.set(KEY, actor.memory.start(C)))


def test_hidden_states_that_do_not_fit_are_one_sentence(refused):
    actor = CategoricalActor(N, D, 4, hidden=H, recurrent="gru")
    observation = torch.randn(C, L, N, D)
    hidden = actor.memory.start(C)
    done = torch.zeros(C, L, dtype=torch.bool)
    assert actor.log_probs(observation, None, hidden, done).shape == (C, L, N, 4)
    with refused("hidden states", f"{(C, N, H)}", f"need {(C, L, N, H)}"):
        actor.log_probs(observation, None, hidden)
    with refused("hidden states", f"{(C, N, H - 1)}", f"need {(C, N, H)}"):
        actor.log_probs(observation, None, hidden[..., 1:], done)
    with refused("hidden states must be a tensor"):
        actor.log_probs(observation, None, [hidden], done)
    with refused("torch.float64", "torch.float32"):
        actor.log_probs(observation, None, hidden.double(), done)
    with refused("done", f"need {(C, L)}"):
        actor.log_probs(observation, None, hidden, done[:, 1:])
    with refused("done", "need bool"):
        actor.log_probs(observation, None, hidden, done.float())
    with refused("no memory", "leave out"):
        CategoricalActor(N, D, 4, hidden=H).log_probs(observation, None, hidden)


def test_flattened_rollouts_are_no_sequences(refused):
    actor = CategoricalActor(N, D, 4, hidden=H, recurrent="gru")
    flat = recorded(actor).reshape(-1)
    with refused(f"({C * L},)", "sequences", "reshape(-1, L)"):
        actor.evaluate(flat)


def test_a_network_takes_the_memory_of_its_own_size_alone(refused):
    for memory in (AgentGRU(N + 1, H, KEY), AgentGRU(N, H + 1, KEY), nn.GRU(H, H), 3):
        with refused("AgentMLP: memory", f"{N} agents and {H} units"):
            AgentMLP(N, D, 2, hidden=H, memory=memory)
    network = AgentMLP(N, D, 2, hidden=H, memory=AgentGRU(N, H, KEY))
    with refused("has a memory", "recall"):
        network(torch.randn(C, D))


def test_a_recurrent_critic_is_for_one_group(refused):
    critic = LocalCritic(N, D, hidden=H, recurrent="gru")
    assert critic.value_module("cars").in_keys == [("cars", "observation"), "critic_hidden"]
    with refused("recurrent LocalCritic", "one group", "boats"):
        critic.value_module(["cars", "boats"])


def test_networks_without_a_memory_have_no_such_option(refused):
    with refused("JointCritic has no option 'recurrent'"):
        JointCritic(N, D, 4, recurrent="gru")
    with refused("recurrent", "rnn", "none, gru, lstm"):
        CategoricalActor(N, D, 4, recurrent="rnn")
