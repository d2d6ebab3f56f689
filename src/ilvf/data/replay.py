"""A replay buffer that can be resumed: TorchRL's buffer in memory, and one file per rollout.

Saving a buffer of gigabytes in every checkpoint would cost more than the training. Each rollout is
therefore written to a file once, when it is collected and before any checkpoint refers to it. A
checkpoint holds only the names of the files in the order of the ring, and the next position.
Files that neither the buffer nor the newest checkpoint needs are deleted.
"""

import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.data.replay_buffers.samplers import RandomSampler

from ilvf.data.tensor_files import load_tensors
from ilvf.errors import UsageError, require

FOLDER = "buffer"  # of a run, beside its checkpoints
MISSING_ADVICE = "resume from the run's newest checkpoint, or begin a new run"


class Replay:
    """A ring buffer of `pieces` rollouts of `rows` rows each, which are sampled uniformly.

    Args:
        pieces: rollouts that the buffer holds.
        rows: of each rollout: its transitions, or its sequences.
        device: where the rows are kept.
        folder: where each rollout is written to a file; None keeps rollouts in memory only.
        rank: of this process; the names of its files begin with it.
        unit: what rows are, for messages.
    """

    def __init__(
        self,
        pieces: int,
        rows: int,
        device: torch.device,
        folder: Path | None = None,
        rank: int = 0,
        unit: str = "transitions",
    ):
        self.pieces = pieces
        self.rows = rows
        self.device = device
        self.folder = folder
        self.rank = rank
        self.unit = unit
        self.form: dict[str, Any] | None = None  # of the tensors of a rollout
        self.files: list[str] = []  # file name of each occupied position of the ring
        self.position = 0  # of the ring, where the next rollout goes
        self.written = 0  # rollouts written since the run began
        self._saved: set[str] | None = None  # files that the newest checkpoint refers to
        # Part of the file names, so that a run that resumes from an older checkpoint does not
        # overwrite files of the newer one.
        self._token = uuid.uuid4().hex[:6]
        storage = LazyTensorStorage(pieces * rows, device=device)
        self.buffer = ReplayBuffer(storage=storage, sampler=RandomSampler())

    def __len__(self) -> int:
        return len(self.buffer)

    def add(self, batch: TensorDictBase) -> None:
        """Add one rollout `[rows]`; a full buffer drops its oldest rollout.

        Raises:
            UsageError: its tensors are other ones than those of the rollouts before.
        """
        content = batch.contiguous().to_dict()
        form = form_of(content)
        require(
            self.form in (None, form),
            "this run's rollouts have other tensors than the replay buffer's files; resume with "
            "the options of the run that wrote them, or begin a new run",
        )
        self.form = form
        name = f"{self.rank}-{self.written:06d}-{self._token}.pt"
        if self.folder is not None:
            write(self.folder / name, content)
        self.buffer.extend(self._batch(content))
        self.files[self.position : self.position + 1] = [name]  # appends while the ring fills
        self.position = (self.position + 1) % self.pieces
        self.written += 1

    def sample(self, size: int) -> TensorDictBase:
        """`size` rows, drawn uniformly with replacement."""
        return self.buffer.sample(size)

    # ------------------------------------------------------------------ files
    def state(self) -> dict[str, Any]:
        """The part of a checkpoint from which `restore` finds the files again."""
        files = self.files if self.folder is not None else []
        self._saved = set(files)
        return {
            "files": list(files),
            "position": self.position,
            "written": self.written,
            "pieces": self.pieces,
        }

    def restore(self, state: dict[str, Any], source: Path) -> None:
        """Fill the buffer from files.

        A buffer of the size that was saved gets every rollout at its position. A smaller one gets
        the newest rollouts.

        Args:
            state: what `state()` returned.
            source: folder of the files; they are copied to `folder` if that is another one.

        Raises:
            UsageError: the state has no files, or a file is missing, truncated or of another size.
        """
        files = list(state["files"])
        position = state["position"]
        require(bool(files), "the checkpoint was saved without its replay buffer; begin a new run")
        if state["pieces"] != self.pieces:
            full = len(files) == state["pieces"]
            oldest_first = files[position:] + files[:position] if full else files
            files = oldest_first[-self.pieces :]
            position = len(files) % self.pieces
        first: dict[str, Any] = {}
        for name in files:
            content = read_rollout(source / name, self.device)
            require_same_form(source / name, content, first or content)
            first = first or content
            self.form = form_of(first)
            self.buffer.extend(self._batch(content))
            if self.folder is not None and source.resolve() != self.folder.resolve():
                self.folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / name, self.folder / name)
        self.files = files
        self.position = position
        self.written = state["written"]
        writer = self.buffer.writer
        writer.load_state_dict({**writer.state_dict(), "_cursor": position * self.rows})

    def prune(self) -> None:
        """Delete files of this process that neither the buffer nor the newest checkpoint needs."""
        if self.folder is None or self._saved is None:
            return
        for path in self.folder.glob(f"{self.rank}-*"):
            if path.name not in self._saved and path.name not in self.files:
                path.unlink(missing_ok=True)

    def _batch(self, content: dict[str, Any]) -> TensorDict:
        """The content of a file as a tensordict `[rows]`."""
        batch = TensorDict(content, device=self.device).auto_batch_size_(1)
        require(
            len(batch) == self.rows,
            f"the replay buffer's files are of rollouts of {len(batch)} {self.unit}, this run's "
            f"have {self.rows}; leave out algorithm.num_envs, algorithm.rollout_steps and "
            "algorithm.chunk",
        )
        return batch


def require_same_form(path: Path, content: dict[str, Any], other: dict[str, Any]) -> None:
    """Raise unless a file's tensors have the names, shapes and dtypes of another file's."""
    require(
        form_of(content) == form_of(other),
        f"the replay buffer's file {path} has other tensors than the first file; {MISSING_ADVICE}",
    )


def form_of(content: dict[str, Any]) -> dict[str, Any]:
    """Name → shape and dtype of every tensor in nested dicts; other values as they are."""
    form: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            form[name] = form_of(value)
        else:
            form[name] = (tuple(value.shape), value.dtype) if hasattr(value, "dtype") else value
    return form


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file under a temporary name and rename it, so that a file is complete or absent.

    Raises:
        UsageError: the file cannot be written, for example because the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"the replay buffer's file {path} cannot be written ({reason}); make room and resume"
        ) from error


def read_rollout(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of one file, verified.

    Args:
        path: the file.
        device: where its tensors are loaded to.

    Raises:
        UsageError: the file is missing, truncated or damaged.
    """
    require(path.is_file(), f"the replay buffer's file {path} is missing; {MISSING_ADVICE}")
    try:
        return load_tensors(path, "the replay buffer's file", device)
    except UsageError as error:
        raise UsageError(f"{error}; {MISSING_ADVICE}") from error


def folder_of(checkpoint: Path) -> Path:
    """Folder of a checkpoint's buffer files.

    It is in the run's folder, or beside a checkpoint that was copied out of its run.
    """
    folder = checkpoint.parent
    run = folder.parent if folder.name == "checkpoints" else folder
    return run / FOLDER
