"""What a result depends on besides its config: the code's version, the packages, the machine."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import psutil
import torch

PACKAGES = (
    "ilvf",
    "torch",
    "torchrl",
    "tensordict",
    "lightning",
    "mlflow",
    "pettingzoo",
    "numpy",
)
CPU_INFO = Path("/proc/cpuinfo")  # of Linux


def code_version() -> dict[str, str]:
    """Package versions, and the git commit of the working directory and whether it is clean."""
    versions = {f"version.{name}": _version(name) for name in PACKAGES}
    versions["version.python"] = platform.python_version()
    dirty = bool(_git("status", "--porcelain"))
    return {"git.sha": _git("rev-parse", "HEAD"), "git.dirty": str(dirty), **versions}


def machine() -> dict[str, str]:
    """Processor, memory and accelerators."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "hardware.cpu": processor(),
        "hardware.cores": str(psutil.cpu_count()),
        "hardware.memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "hardware.gpu": ", ".join(gpus) or "none",
        "hardware.platform": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """The processor's name; where the system does not tell, its architecture."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(*args: str) -> str:
    """The output of a git command; empty if it fails."""
    try:
        found = subprocess.run(
            ["git", *args], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
