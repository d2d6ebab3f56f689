"""A replay buffer that survives: TorchRL's in memory, and every rollout once as a file beside the checkpoints.

A checkpoint of a buffer of gigabytes at the end of every iteration would cost more than the training. So each rollout
is written when it is collected, before any checkpoint that refers to it; a checkpoint holds the names of the files, in
their places, and the place that is written next. Files that no longer count are deleted once a newer checkpoint exists.
"""

import pickle
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.data.replay_buffers.samplers import RandomSampler

from ilvf.errors import UsageError, require

FOLDER = "buffer"


class Replay:
    """A ring of `pieces` rollouts of `rows` transitions each, sampled uniformly.

    Args:
        pieces, rows: how many rollouts, and the transitions of each.
        device: where the transitions are kept.
        folder: where every rollout is written; None keeps them in memory only.
        rank: of this process, which begins the names of its files.
    """

    def __init__(
        self,
        pieces: int,
        rows: int,
        device: torch.device,
        folder: Path | None = None,
        rank: int = 0,
    ):
        self.pieces, self.rows, self.device = pieces, rows, device
        self.folder, self.rank = folder, rank
        self.files: list[str] = []  # file of every place that has been written
        self.position, self.written = 0, 0  # next place, rollouts written in all
        self._saved: set[str] | None = None
        self._token = uuid.uuid4().hex[
            :6
        ]  # a run that goes on from an older checkpoint overwrites nothing
        storage = LazyTensorStorage(pieces * rows, device=device)
        self.buffer = ReplayBuffer(storage=storage, sampler=RandomSampler())

    def __len__(self) -> int:
        return len(self.buffer)

    def add(self, batch: TensorDictBase) -> None:
        """Write one rollout, `[rows]`, over the oldest."""
        content = batch.contiguous().to_dict()
        name = f"{self.rank}-{self.written:06d}-{self._token}.pt"
        if self.folder is not None:
            write(self.folder / name, content)
        self.buffer.extend(self._batch(content))
        self.files[self.position : self.position + 1] = [name]
        self.position, self.written = (self.position + 1) % self.pieces, self.written + 1

    def sample(self, size: int) -> TensorDictBase:
        """`size` transitions, drawn uniformly with replacement."""
        return self.buffer.sample(size)

    # ------------------------------------------------------------------ files
    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold to find everything again."""
        files = self.files if self.folder is not None else []
        self._saved = set(files)
        return {
            "files": list(files),
            "position": self.position,
            "written": self.written,
            "pieces": self.pieces,
        }

    def restore(self, state: dict[str, Any], source: Path) -> None:
        """Fill the buffer from the files in `source`, every rollout in its place (or the newest that find one)."""
        files, position = list(state["files"]), state["position"]
        require(bool(files), "the checkpoint was saved without its replay buffer; begin a new run")
        if state["pieces"] != self.pieces:
            files = (
                files[position:] + files[:position] if len(files) == state["pieces"] else files
            )[-self.pieces :]
            position = len(files) % self.pieces
        for name in files:
            content = read_rollout(source / name, self.device)
            batch = self._batch(content)
            self.buffer.extend(batch)
            if self.folder is not None and source.resolve() != self.folder.resolve():
                self.folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / name, self.folder / name)
        self.files, self.position, self.written = files, position, state["written"]
        writer = self.buffer.writer
        writer.load_state_dict({**writer.state_dict(), "_cursor": position * self.rows})

    def prune(self) -> None:
        """Delete the files of this process that neither the newest checkpoint nor the buffer has."""
        if self.folder is None or self._saved is None:
            return
        for path in self.folder.glob(f"{self.rank}-*"):
            if path.name not in self._saved and path.name not in self.files:
                path.unlink(missing_ok=True)

    def _batch(self, content: dict[str, Any]) -> TensorDict:
        batch = TensorDict(content, device=self.device).auto_batch_size_(1)
        require(
            len(batch) == self.rows,
            f"the replay buffer's files are of rollouts of {len(batch)} transitions, this run's have {self.rows}; "
            "leave out algorithm.num_envs and algorithm.rollout_steps",
        )
        return batch


def write(path: Path, content: dict[str, Any]) -> None:
    """Beside the target and renamed, so that a kill at any moment leaves a whole file or none."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"the replay buffer's file {path} cannot be written ({reason}); make room and resume"
        ) from error


def read_rollout(
    path: Path, device: torch.device | str = "cpu", *, check: bool = False
) -> dict[str, Any]:
    """The content of one file; with `check` only so much of it is read as shows that it is whole."""
    advice = "resume from the run's newest checkpoint, or begin a new run"
    require(path.is_file(), f"the replay buffer's file {path} is missing; {advice}")
    try:
        return torch.load(
            path, map_location="cpu" if check else device, weights_only=True, mmap=check
        )
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"the replay buffer's file {path} cannot be read, it is truncated ({reason}); {advice}"
        ) from (error)


def folder_of(checkpoint: Path) -> Path:
    """Where the files of a checkpoint are: in the folder of its run, or beside a copy."""
    run = checkpoint.parent
    return (run.parent if run.name == "checkpoints" else run) / FOLDER
