"""The replay buffer: restoring, other sizes, and the files that it deletes."""

import pytest
import torch
from tensordict import TensorDict

from ilvf.data.replay import Replay

CPU = torch.device("cpu")
ROWS = 4  # transitions of a rollout


def rollout(number: float) -> TensorDict:
    """A rollout whose transitions carry `number`."""
    content = {"agents": {"x": torch.full((ROWS, 2), number)}, "y": torch.arange(ROWS)}
    return TensorDict(content, ROWS)


def filled(folder, rollouts: int) -> Replay:
    """A buffer for 3 rollouts to which `rollouts` were added, numbered from 0."""
    replay = Replay(3, ROWS, CPU, folder)
    for number in range(rollouts):
        replay.add(rollout(float(number)))
    return replay


def numbers(replay: Replay) -> list[float]:
    """The number of the rollout at each position of the ring."""
    return replay.buffer[:]["agents", "x"][::ROWS, 0].tolist()


def file_names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("rollouts", [1, 2, 3, 4, 5, 6, 7])
def test_a_restored_buffer_samples_and_continues_like_the_original(tmp_path, rollouts):
    original = filled(tmp_path, rollouts)
    restored = Replay(3, ROWS, CPU, tmp_path)
    restored.restore(original.state(), tmp_path)
    for _ in range(3):
        assert numbers(restored) == numbers(original)
        samples = []
        for replay in (original, restored):
            torch.manual_seed(1)
            samples.append(replay.sample(10))
            replay.add(rollout(99.0))
        assert (samples[0] == samples[1]).all()


def test_a_smaller_buffer_keeps_the_newest_rollouts(tmp_path):
    state = filled(tmp_path, 5).state()  # its ring holds 3, 4, 2
    smaller = Replay(2, ROWS, CPU, tmp_path)
    smaller.restore(state, tmp_path)
    assert numbers(smaller) == [3.0, 4.0]


def test_a_larger_buffer_keeps_all_rollouts_in_their_order(tmp_path):
    state = filled(tmp_path, 5).state()
    larger = Replay(9, ROWS, CPU, tmp_path)
    larger.restore(state, tmp_path)
    larger.add(rollout(5.0))
    assert numbers(larger) == [2.0, 3.0, 4.0, 5.0]


def test_a_file_is_deleted_once_the_newest_checkpoint_does_not_need_it(tmp_path):
    replay = filled(tmp_path, 3)
    old = replay.state()["files"]
    replay.add(rollout(3.0))
    replay.prune()
    assert file_names(tmp_path) == {*old, *replay.files}  # the checkpoint needs the oldest file
    new = replay.state()["files"]
    replay.prune()
    assert file_names(tmp_path) == set(new)
    assert len(new) == 3
