"""The off-policy losses on sequences: against steps that are taken one after the other."""

import pytest
import torch
from tensordict import TensorDict
from torch.nn import functional as F

from ilvf.losses import MADDPGLoss, QMIXLoss
from ilvf.modules import Box, CategoricalActor, DeterministicActor, GreedyActor, JointCritic, Mixer
from losses.off_policy_parts import DO, A, D, N, perturb

C = 4  # sequences
L = 6  # steps
GAMMA = 0.9
OPTIONS = {"gamma": GAMMA, "normalize_values": False}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def sequences(memory, masked=False):
    """Episodes that end by truncation and termination; a new one has another observation."""
    terminated = torch.rand(C, L, 1) < 0.15
    done = terminated | (torch.rand(C, L, 1) < 0.3)
    assert (done & ~terminated)[:, :-1].any()
    assert terminated[:, :-1].any()

    def moment():
        seen = {
            "observation": torch.randn(C, L, N, DO),
            "state": torch.randn(C, L, N, D),
        }
        if masked:
            seen["action_mask"] = torch.rand(C, L, N, A) < 0.6
            seen["action_mask"][..., 0] = True
        return seen

    hidden = torch.randn(C, L, N, memory.sizes[-1])
    now = {**moment(), "hidden": hidden, "action": torch.randint(A, (C, L, N))}
    later = {**moment(), "reward": torch.randn(C, L, N, 1)}
    following = {"agents": later, "done": done, "terminated": terminated}
    td = TensorDict({"agents": now, "next": following}, [C, L])
    goes_on = ~done[:, :-1].squeeze(-1)
    for name in moment():  # within an episode the next observation is that of the next step
        rows = td["next", "agents", name][:, :-1]
        rows[goes_on] = td["agents", name][:, 1:][goes_on]
    return td


def step_by_step(actor, td):
    """Of every step: outputs for its observation, and for the next one with the state after it."""
    now = []
    following = []
    for row in td.split(1):
        hidden = row["agents", "hidden"][:, 0]
        for t in range(L):
            outputs, after = actor.recall(row["agents", "observation"][:, t], hidden)
            now.append(outputs)
            later, _ = actor.recall(row["next", "agents", "observation"][:, t], after)
            following.append(later)
            hidden = torch.zeros_like(after) if row["next", "done"][0, t] else after
    return torch.cat(now).unflatten(0, (C, L)), torch.cat(following).unflatten(0, (C, L))


def at(values, action):
    return values.gather(-1, action.unsqueeze(-1))


def qmix_by_steps(loss, td, burn_in, double):
    """The loss and its targets as Python loops compute them."""
    values, scores = step_by_step(loss.actor, td)
    with torch.no_grad():
        _, of_target = step_by_step(loss.target_actor, td)
    if not double:
        scores = of_target
    mask = td.get(("next", "agents", "action_mask"), None)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    errors = []
    targets = []
    for row in range(C):
        for t in range(burn_in, L):
            state = td["agents", "state"][row, t].unsqueeze(0)
            later = td["next", "agents", "state"][row, t].unsqueeze(0)
            chosen = at(values[row, t], td["agents", "action"][row, t])
            best = at(of_target[row, t], scores[row, t].argmax(-1))
            with torch.no_grad():
                future = loss.target_mixer(best.unsqueeze(0), later).item()
            goes_on = 0 if td["next", "terminated"][row, t] else 1
            reward = td["next", "agents", "reward"][row, t].sum().item()
            targets.append(reward + GAMMA * goes_on * future)
            errors.append(loss.mixer(chosen.unsqueeze(0), state).squeeze() - targets[-1])
    return torch.stack(errors).square().mean(), torch.tensor(targets)


def qmix_loss(kind, recurrent, **options):
    masked = options.pop("masked", False)
    actor = GreedyActor(N, DO, A, hidden=8, gain=1.0, masked=masked, recurrent=recurrent)
    loss = QMIXLoss(actor, Mixer(kind, N, D, embed=4), **{**OPTIONS, **options})
    perturb(loss.target_actor, loss.target_mixer)
    return loss


@pytest.mark.parametrize(
    ("kind", "recurrent", "options"),
    [
        ("qmix", "gru", {}),
        ("qmix", "lstm", {"masked": True}),
        ("vdn", "gru", {"double": False}),
        ("vdn", "lstm", {}),
    ],
)
def test_values_and_targets_are_those_of_single_steps(kind, recurrent, options):
    loss = qmix_loss(kind, recurrent, **options)
    td = sequences(loss.actor.memory, options.get("masked", False))
    double = options.get("double", True)
    wanted, targets = qmix_by_steps(loss, td, 0, double)
    found = loss.target(loss.transitions(td)).squeeze(-1)
    assert torch.allclose(found, targets, atol=1e-5)
    terms = loss(td)
    assert torch.allclose(terms["loss_td"], wanted, atol=1e-5)
    assert torch.allclose(terms["target"], targets.mean(), atol=1e-5)


def gradients(loss, value):
    loss.zero_grad()
    value.backward()
    return torch.cat([p.grad.flatten() for p in loss.parameters() if p.grad is not None])


def test_gradients_flow_through_the_steps_of_a_sequence():
    loss = qmix_loss("qmix", "gru")
    td = sequences(loss.actor.memory)
    wanted, _ = qmix_by_steps(loss, td, 0, double=True)
    wanted = gradients(loss, wanted)
    assert torch.allclose(gradients(loss, loss(td)["loss_td"]), wanted, atol=1e-5)
    alone = td.reshape(-1, 1)  # sequences of one step: nothing flows back
    assert not torch.allclose(gradients(loss, loss(alone)["loss_td"]), wanted, atol=1e-3)


@pytest.mark.parametrize("burn_in", [1, 3, 5])
def test_a_burn_in_warms_up_both_networks_and_has_no_loss(burn_in):
    loss = qmix_loss("qmix", "gru", burn_in=burn_in)
    td = sequences(loss.actor.memory)
    wanted, targets = qmix_by_steps(loss, td, burn_in, double=True)
    assert torch.allclose(loss.target(loss.transitions(td)).squeeze(-1), targets, atol=1e-5)
    assert torch.allclose(loss(td)["loss_td"], wanted, atol=1e-5)


def test_no_gradient_flows_into_a_burn_in():
    loss = qmix_loss("vdn", "gru", burn_in=2)
    td = sequences(loss.actor.memory)
    td["next", "done"].zero_()
    observation = td["agents", "observation"].requires_grad_()
    loss(td)["loss_td"].backward()
    reached = observation.grad.abs().sum((0, 2, 3)) > 0
    assert reached.tolist() == [False, False, True, True, True, True]


def test_only_the_first_recorded_hidden_states_are_read():
    loss = qmix_loss("qmix", "gru", burn_in=1)
    td = sequences(loss.actor.memory)
    before = loss(td)["loss_td"]
    td["agents", "hidden"][:, 1:] += 1
    assert torch.equal(loss(td)["loss_td"], before)
    td["agents", "hidden"][:, 0] += 1
    assert not torch.equal(loss(td)["loss_td"], before)


def test_the_batch_is_left_as_it_was():
    loss = qmix_loss("qmix", "gru")
    td = sequences(loss.actor.memory)
    copy = td.clone()
    loss(td)
    assert set(td.keys(True, True)) == set(copy.keys(True, True))
    assert (td == copy).all()


# ---------------------------------------------------------------------- MADDPG
def test_maddpg_values_the_next_actions_of_single_steps():
    """Deterministic actors: their actions are compared without noise."""
    box = Box(-torch.ones(N, A), torch.ones(N, A))
    actor = DeterministicActor(N, DO, box, hidden=8, gain=1.0, recurrent="gru")
    loss = MADDPGLoss(actor, JointCritic(N, D, box, hidden=8), burn_in=2, **OPTIONS)
    perturb(loss.target_actor, loss.target_critic)
    td = sequences(actor.memory)
    td["agents", "action"] = torch.rand(C, L, N, A) * 2 - 1
    now, _ = step_by_step(actor, td)
    _, later = step_by_step(loss.target_actor, td)
    steps = td[:, 2:].reshape(-1)
    with torch.no_grad():
        action = later[:, 2:].tanh().reshape(-1, N * A)
        future = loss.target_critic(steps["next", "agents", "state"], action)
        goes_on = (~steps["next", "terminated"]).float().unsqueeze(-1)
        wanted = steps["next", "agents", "reward"] + GAMMA * goes_on * future
        gain = loss.gain(
            steps["agents", "state"], steps["agents", "action"], now[:, 2:].tanh().flatten(0, 1)
        )
    assert torch.allclose(loss.target(loss.transitions(td)), wanted, atol=1e-5)
    assert torch.allclose(loss(td)["loss_actor"], -gain.sum(-1).mean(), atol=1e-5)


def test_discrete_actors_of_maddpg_sample_with_their_memory():
    actor = CategoricalActor(N, DO, A, hidden=8, gain=1.0, recurrent="lstm")
    loss = MADDPGLoss(actor, JointCritic(N, D, A, hidden=8), **OPTIONS)
    td = sequences(actor.memory)
    now, later = step_by_step(actor, td)
    steps = loss.transitions(td)
    found = actor.log_probs_of(steps)
    assert torch.allclose(found, now.flatten(0, 1).log_softmax(-1), atol=1e-5)
    following = loss.seen_by_target(steps["next"])
    found = loss.target_actor.log_probs_of(following)
    assert torch.allclose(found, later.flatten(0, 1).log_softmax(-1), atol=1e-5)
    entropy = -(F.softmax(now, -1) * F.log_softmax(now, -1)).sum(-1).mean()
    assert torch.allclose(loss(td)["entropy"], entropy, atol=1e-5)


# ---------------------------------------------------------------------- what does not fit
def test_batches_that_are_no_sequences_are_one_sentence(refused):
    loss = qmix_loss("qmix", "gru", burn_in=2)
    td = sequences(loss.actor.memory)
    with refused("sequences", "reshape(-1, L)"):
        loss(td.reshape(-1))
    with refused("sequences of 2 steps", "burn_in=2"):
        loss(td[:, :2])
    with refused("('agents', 'hidden') is needed", "with_memory"):
        loss(td.exclude(("agents", "hidden")))
    with refused("('next', 'done') is needed", "where episodes end"):
        loss(td.exclude(("next", "done")))
    with refused("target_hidden is needed", "transitions"):
        loss.target(loss.transitions(td).exclude(("next", "target_hidden")))
    with refused("burn_in=-1"):
        qmix_loss("qmix", "gru", burn_in=-1)
