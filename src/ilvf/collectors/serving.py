"""A worker's side of the conversation: a plan, then an order and an answer for each rollout."""

import logging
import pickle
import traceback
import warnings
from typing import Any

import torch

from ilvf.collectors.part import Part, State
from ilvf.errors import UsageError
from ilvf.options import one_line


class WorkerDied(Exception):
    """A worker has ended before its answer; says how."""


class Service:
    """Answers orders; it makes its environments when the first one comes.

    Args:
        plan: a pickled `Plan`.
    """

    def __init__(self, plan: bytes):
        self.plan = plan
        self.part: Part | None = None
        torch.set_num_threads(1)  # workers share the cores
        logging.getLogger("torchrl").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)

    def answer(self, order: bytes) -> bytes:
        """The pickled answer to a pickled `Order`.

        It is ("done", rollout, state), ("refused", the sentence of a `UsageError`) or ("failed",
        the type and first line of another exception).
        """
        try:
            if self.part is None:
                self.part = Part(pickle.loads(self.plan))
            return pickle.dumps(("done", *self.part.collect(pickle.loads(order))))
        except UsageError as error:
            return pickle.dumps(("refused", str(error)))
        except Exception as error:  # environments raise anything
            traceback.print_exc()
            return pickle.dumps(("failed", one_line(f"{type(error).__name__}: {error}")))

    def close(self) -> None:
        """Close the environments."""
        if self.part is not None:
            self.part.close()


def pickled(plan: Any) -> bytes:
    """A plan as bytes.

    Raises:
        UsageError: it cannot be sent to another process.
    """
    try:
        return pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"the environment cannot be sent to a worker ({one_line(str(error))}); give make_env "
            "as a function at the top of a module"
        ) from error


def content_of(answer: bytes, worker: str) -> tuple[Any, State]:
    """(rollout, state) of a worker's answer.

    Raises:
        UsageError: the worker has refused or failed.
    """
    kind, *content = pickle.loads(answer)
    if kind == "refused":
        raise UsageError(content[0])
    if kind == "failed":
        raise UsageError(f"{worker} has failed: {content[0]}")
    rollout, state = content
    return rollout, state
