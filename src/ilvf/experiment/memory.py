"""Keep freed memory: training allocates and frees the same large tensors at every step."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD = -1  # constants of malloc.h
M_MMAP_MAX = -4


def keep_memory() -> None:
    """Ask glibc to keep freed blocks, and torch for huge pages; does nothing outside Linux.

    Otherwise every tensor above some megabytes is mapped, faulted in page by page and unmapped at
    each use, which costs a quarter or more of an update on the CPU. Call it before the first large
    tensor. `MALLOC_*` environment variables take precedence.
    """
    configured = any(name.startswith("MALLOC_") for name in os.environ)
    if configured or not sys.platform.startswith("linux"):
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
