"""The processor's name, from the places where operating systems keep it."""

import platform

import pytest

from ilvf.experiment import facts
from ilvf.experiment.facts import processor


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """machine(cpuinfo, lscpu, sysctl, python): a machine that answers so."""

    def build(cpuinfo=None, lscpu="", sysctl="", python=""):
        path = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            path.write_text(cpuinfo)
        folder = tmp_path / "programs"
        folder.mkdir()
        for name, text in {"lscpu": lscpu, "sysctl": sysctl}.items():
            if text:
                program = folder / name
                program.write_text(f"#!/bin/sh\necho '{text}'\n")
                program.chmod(0o755)
        monkeypatch.setattr(facts, "CPU_INFO", path)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setattr(platform, "processor", lambda: python)
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    return build


ON_ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ({"cpuinfo": "processor : 0\nmodel name\t: AMD EPYC 9R14\n"}, "AMD EPYC 9R14"),
        ({"cpuinfo": "model name : unknown\n", "lscpu": "Model name: Xeon"}, "Xeon"),
        ({"cpuinfo": ON_ARM, "lscpu": "Vendor ID: ARM\nModel name:  Neoverse-V2"}, "Neoverse-V2"),
        ({"sysctl": "Apple M3 Pro", "python": "arm"}, "Apple M3 Pro"),
        ({"python": "Intel64 Family 6 Model 154"}, "Intel64 Family 6 Model 154"),
        ({"cpuinfo": ON_ARM, "lscpu": "Model name: -", "python": "aarch64"}, "aarch64"),
        ({}, "aarch64"),
    ],
)
def test_the_name_of_the_processor(answers, name, machine):
    machine(**answers)
    assert processor() == name
