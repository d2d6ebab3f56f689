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
SYSCTL = ("sysctl", "-n", "machdep.cpu.brand_string")  # of macOS
NO_NAMES = ("", "-", "unknown", "arm", "i386", "x86_64", "aarch64")  # of a processor


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
    """The processor's name as its maker has it; where nobody tells, its architecture."""
    for name in (_name_in(CPU_INFO), _name_of_lscpu(), _output(*SYSCTL), platform.processor()):
        if name.lower() not in NO_NAMES:
            return name
    return platform.machine()


def _name_in(path: Path) -> str:
    """The `model name` in a file such as `/proc/cpuinfo`; empty without one."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return _value(text, "model name")


def _name_of_lscpu() -> str:
    """The name that `lscpu` finds, also where the kernel has none, as on ARM."""
    return _value(_output("lscpu"), "model name")


def _value(text: str, key: str) -> str:
    """The value in the first line `KEY: VALUE` of a text, whatever its capitals."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == key:
            return value.strip()
    return ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(*args: str) -> str:
    """The output of a git command; empty if it fails."""
    return _output("git", *args)


def _output(*command: str) -> str:
    """The output of a command; empty if it fails or is missing."""
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
