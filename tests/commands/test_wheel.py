"""The built wheel, installed outside the repository: everything a pip user needs is in it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from helpers import ROOT, TINY
from ilvf import __version__
from ilvf.commands.cli import COMMANDS
from run_helpers import only_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory):
    """The bin folder of an environment that has the wheel, and of this one only the dependencies.

    A path in a .pth file is not searched for further .pth files, so this environment's editable
    installation of ilvf is not visible there.
    """
    folder = tmp_path_factory.mktemp("pip")
    source = folder / "source"
    source.mkdir()
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", source]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = (folder / "dist").glob("ilvf-*.whl")
    venv.create(folder / "env", with_pip=False)
    binaries = folder / "env" / "bin"
    python = binaries / "python"
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    dependencies = sysconfig.get_path("purelib")
    with open(f"{site}/dependencies.pth", "w") as file:
        file.write(f"{dependencies}\n")
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True
    )
    return binaries


def environment_of_a_pip_user():
    """Environment variables without a path to the repository."""
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    environment["OMP_NUM_THREADS"] = "1"
    return environment


@pytest.fixture
def ilvf(bin_folder, tmp_path):
    """ilvf("train", "mappo", ...): the output of the installed program in an empty folder."""

    def run(*arguments):
        return subprocess.check_output(
            [bin_folder / "ilvf", *arguments],
            text=True,
            cwd=tmp_path,
            env=environment_of_a_pip_user(),
        )

    return run


def test_it_is_the_wheel_that_runs(bin_folder, tmp_path):
    code = "import ilvf; print(ilvf.__version__, ilvf.__file__)"
    said = subprocess.check_output(
        [bin_folder / "python", "-c", code],
        text=True,
        cwd=tmp_path,
        env=environment_of_a_pip_user(),
    )
    version, file = said.split()
    assert version == __version__
    assert str(ROOT) not in file


def test_help_of_every_command(ilvf):
    page = ilvf("--help")
    for name, summary in COMMANDS.items():
        assert f"{name} " in page
        assert summary.split(",")[0][:40] in page
        assert "key=value" in ilvf(name, "--help")
    assert __version__ in ilvf("--version")


SEPARATOR = "=" * 100
RUN_LINES = f"""
import sys
from ilvf.commands.cli import main

for line in sys.stdin.read().splitlines():
    try:
        main(line.split())
    except SystemExit as stop:
        if stop.code:
            raise
    print("{SEPARATOR}", flush=True)
"""


def test_a_pip_user_trains_evaluates_compares_and_audits(bin_folder, out):
    """The commands run in one process, which imports PyTorch once.

    `out` has a store, so that the test does not wait for MLflow's migrations.
    """
    last = f"checkpoint=last out={out}"
    commands = {
        f"train ilvf_p {' '.join(TINY)} out={out}": "checkpoint   ",
        f"evaluate {last}": "return/team",
        f"compare out={out}": "ILVF-P",
        f"audit {last} audit.states=2 audit.actions=2 audit.repeats=2": "Audit of",
        f"influence {last} influence.episodes=2 influence.measure=false": "Influence",
        "train mappo preset=paper --cfg": "n_obstacles: 3",
    }
    output = subprocess.check_output(
        [bin_folder / "python", "-c", RUN_LINES],
        input="\n".join(commands),
        text=True,
        cwd=out,
        env=environment_of_a_pip_user(),
    )
    pages = output.split(SEPARATOR)[:-1]
    for page, words in zip(pages, commands.values(), strict=True):
        assert words in page
    run = only_run(out)
    assert (run / "audit" / "audit.png").is_file()
    assert (run / "influence" / "curves.png").is_file()
