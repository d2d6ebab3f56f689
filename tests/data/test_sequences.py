"""Sequences of a replay buffer: every step once, burn-ins across rollouts, what is saved."""

import pytest
import torch
from tensordict import TensorDict

from ilvf.data.sequences import Sequences

B = 3  # environments
T = 6  # steps of a rollout
L = 2  # steps of a chunk
N = 2  # agents
KEY = ("agents", "hidden")
CPU = torch.device("cpu")


def recording(rollouts):
    """`[B, rollouts · T]`: numbers that tell environment, step and agent."""
    steps = rollouts * T
    place = torch.arange(B).unsqueeze(1) * 1000 + torch.arange(steps)
    agents = place.unsqueeze(-1).expand(B, steps, N) * 10 + torch.arange(N)
    content = {
        "agents": {"observation": agents.unsqueeze(-1).float(), "hidden": -agents.unsqueeze(-1)},
        "next": {"done": torch.zeros(B, steps, 1, dtype=torch.bool)},
    }
    return TensorDict(content, [B, steps])


def rollouts_of(whole):
    return whole.split(T, 1)


@pytest.mark.parametrize("burn_in", [0, 1, 3, 6])
def test_every_step_is_in_one_chunk_after_the_steps_before_it(burn_in):
    whole = recording(3)
    sequences = Sequences(L, burn_in, [KEY])
    for number, rollout in enumerate(rollouts_of(whole)):
        rows = sequences.cut(rollout)
        assert rows.batch_size == (B * T // L,)
        found = sequences.whole(rows.clone())
        assert found.batch_size == (B * T // L, burn_in + L)
        for row, sequence in enumerate(found):
            env, chunk = divmod(row, T // L)
            start = number * T + chunk * L - burn_in
            beyond = max(-start, 0)  # steps before the first rollout
            wanted = whole[env, max(start, 0) : start + burn_in + L]
            assert torch.equal(
                sequence["agents", "observation"][beyond:], wanted["agents", "observation"]
            )
            assert not sequence["agents", "observation"][:beyond].any()
            assert sequence["next", "done"][:beyond].all()
            assert not sequence["next", "done"][beyond:].any()
            first = whole[KEY][env, start] if start >= 0 else torch.zeros(N, 1)
            assert torch.equal(sequence[KEY], first.expand(burn_in + L, N, 1).to(sequence[KEY]))


def test_a_row_has_one_hidden_state():
    rows = Sequences(L, 3, [KEY]).cut(recording(1))
    assert rows[KEY].shape == (B * T // L, N, 1)
    assert rows["agents", "observation"].shape == (B * T // L, 3 + L, N, 1)


@pytest.mark.parametrize("burn_in", [0, 3])
def test_a_resumed_run_goes_on_with_the_steps_before(burn_in):
    first, second = rollouts_of(recording(2))
    whole = Sequences(L, burn_in, [KEY])
    whole.cut(first)
    resumed = Sequences(L, burn_in, [KEY])
    resumed.restore(whole.state(), CPU, goes_on=True)
    expected = whole.cut(second)
    assert (resumed.cut(second) == expected).all()
    anew = Sequences(L, burn_in, [KEY])
    anew.restore(whole.state(), CPU, goes_on=False)  # other episodes begin
    found = anew.cut(second)
    assert (found == Sequences(L, burn_in, [KEY]).cut(second)).all()
    assert bool((found == expected).all()) == (burn_in == 0)


def test_steps_that_do_not_fit_are_one_sentence(refused):
    first, second = rollouts_of(recording(2))
    sequences = Sequences(L, 3, [KEY])
    sequences.cut(first)
    for burn_in in (0, 2):
        with refused("they are 3", f"burn_in={burn_in}", "leave out algorithm.burn_in"):
            Sequences(L, burn_in, [KEY]).restore(sequences.state(), CPU, goes_on=True)
    with refused("they are 0", "burn_in=3"):
        sequences.restore({}, CPU, goes_on=True)
    with refused("other tensors", "begin a new run"):
        sequences.cut(second.double())
