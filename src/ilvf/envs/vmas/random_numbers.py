"""The random numbers that VMAS draws."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def random_numbers(rng: torch.Generator) -> Iterator[None]:
    """Let VMAS draw from `rng` inside, and leave all other random numbers as they are.

    VMAS keeps one state of random numbers for all environments of a process. On a GPU it draws from
    torch's generator of that GPU as well.
    """
    from vmas.simulator.environment import Environment

    shared = Environment.vmas_random_state
    kept = list(shared)
    on_gpu = rng.device.type == "cuda"
    try:
        with torch.random.fork_rng([rng.device] if on_gpu else []):
            if on_gpu:
                torch.cuda.set_rng_state(rng.get_state(), rng.device)
                shared[0] = torch.Generator().manual_seed(_number_of(rng)).get_state()
            else:
                shared[0] = rng.get_state()
            yield
            after = torch.cuda.get_rng_state(rng.device) if on_gpu else shared[0]
            rng.set_state(after)
    finally:
        shared[:] = kept


def _number_of(rng: torch.Generator) -> int:
    """A number that the state of a GPU's generator, 16 bytes, determines."""
    return int.from_bytes(bytes(rng.get_state().tolist()), "little") % 2**63
