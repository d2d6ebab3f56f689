"""Keep freed memory: training allocates and frees the same large tensors at every step."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_memory() -> None:
    """Ask glibc not to return freed blocks to the system, and torch for huge pages (Linux; elsewhere nothing happens).

    Without it every tensor above some megabytes is mapped, faulted in page by page and unmapped again at each use,
    which costs a quarter or more of an update on the CPU. Call it before the first large tensor; `MALLOC_*` variables
    win.
    """
    if not sys.platform.startswith("linux") or any(k.startswith("MALLOC_") for k in os.environ):
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
