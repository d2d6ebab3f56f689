"""Environment variables that launchers set, checked before anything reads them.

Lightning reads some of them when it is imported, where a word instead of a number is a traceback.
This module imports nothing heavy.
"""

import os
import re
from collections.abc import Mapping

from ilvf.errors import require
from ilvf.options import shown

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # of this process
COUNTS = (
    *RANKS,
    "GROUP_RANK",
    "JSM_NAMESPACE_LOCAL_RANK",
    "JSM_NAMESPACE_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_PORT",
    "NODE_RANK",
    "SLURM_JOB_ID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_NODE",
    "WORLD_SIZE",
)
THREADS = "OMP_NUM_THREADS"  # a number, or one for every level of nesting: "4,2"
STORE = "MLFLOW_TRACKING_URI"
LAUNCHERS = ("TORCHELASTIC_RUN_ID", "ILVF_RUN_DIR")  # set by torchrun, and by our first process


def require_variables(environment: Mapping[str, str] = os.environ) -> None:
    """Raise unless counts are whole numbers and the store has an address.

    Raises:
        UsageError: names the variable.
    """
    for name in COUNTS:
        require_count(name, environment.get(name, "0"))
    threads = environment.get(THREADS) or "1"
    require(
        all(re.fullmatch(r"\s*[1-9][0-9]{0,4}\s*", part) for part in threads.split(",")),
        f"the environment variable {THREADS}={shown(threads)} must be a number of threads; "
        "correct or unset it",
    )
    address = environment.get(STORE) or "sqlite:"
    is_address = address.startswith("databricks") or any(mark in address for mark in ":/\\")
    require(
        is_address,
        f"the environment variable {STORE}={shown(address)} must be the address of an MLflow "
        "store, such as http://HOST:5000 or sqlite:///FILE; correct or unset it",
    )


def require_count(name: str, text: str) -> None:
    """Raise unless the variable `name` is a whole number of at most 9 digits, or a port."""
    is_count = re.fullmatch(r"\s*[0-9]{1,9}\s*", text) is not None
    is_port = name == "MASTER_PORT"
    allowed = "a whole number up to 65535" if is_port else "a whole number, at least 0"
    require(
        is_count and not (is_port and int(text) > 65535),
        f"the environment variable {name}={shown(text)} must be {allowed}; correct or unset it",
    )


def require_launched(environment: Mapping[str, str] = os.environ) -> None:
    """Raise if a variable says that this is a later process of a run that nobody has started.

    Lightning would leave the records of the run to its first process, which does not exist.
    """
    launched = any(name in environment for name in LAUNCHERS)
    launched |= int(environment.get("SLURM_NTASKS", "1")) > 1
    for name in RANKS:
        rank = int(environment.get(name, "0"))
        require(
            launched or rank == 0,
            f"the environment variable {name}={rank} says that this is a later process of a run, "
            f"but neither torchrun, srun nor a first process has started it; unset {name}",
        )
