"""The journeys of the documentation, as a new user makes them: each page, command by command.

Commands and code run as they stand on the page, one after the other in one folder. Only sizes are
replaced by toy sizes, `RUN` is the newest run, and commands that never end are left out.
"""

import contextlib
import importlib
import importlib.util
import itertools
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
import torch

import ilvf
from helpers import ROOT
from ilvf.commands.cli import module_of
from run_helpers import run_folders

BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LOOP = re.compile(r"^for (\w+) in (.*?); do\n(.*?)^done\n", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"^(\w+)=(\$\(.*)\n", re.MULTILINE)
KINDS = ("bash", "python", "xml", "json")
NOT_RUN = {
    "pip": "the packages are installed",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false": "mlflow serves until it is stopped",
}
NEEDS_A_DISPLAY = "env.simulator=gui"
TEAM = {
    "encircle": {"env.n_agents": 4, "env.horizon": 10},
    "cacc": {"env.horizon": 20},
    "capture_prey": {"env.horizon": 10},
    "sumo": {"env.seconds": 60},
    "zoo": {},
}
TRAINING = {
    "algorithm.num_envs": 2,
    "algorithm.rollout_steps": 20,
    "algorithm.eval_episodes": 2,
    "algorithm.hidden": 8,
    "trainer.accelerator": "cpu",
    "trainer.progress": "false",
    "trainer.animation": "false",
}
TOY = {
    "train": {**TRAINING, "trainer.max_epochs": 1},
    "evaluate": {
        "algorithm.eval_episodes": 2,
        "algorithm.eval_steps": 10,
        "animation": "false",
    },
    "audit": {"audit.states": 2, "audit.repeats": 2},
    "influence": {"influence.episodes": 2, "influence.repeats": 2},
    "traffic": {"traffic.episodes": 1, "traffic.animation": "false"},
    "sweep": {"dry": "true"},
}
SMALLER = {"seeds=0-4": "seed=4", "900": "60"}  # one seed; a minute of trips
SMALLER_CODE = {"max_epochs=40": "max_epochs=1", "num_envs=512": "num_envs=36"}
EXAMPLE = ["--frames", "48", "--batch", "48"]
REFUSED = re.compile(r"^ilvf\.errors\.UsageError: (.*)", re.DOTALL)

pytestmark = pytest.mark.slow


class Reader:
    """A user who follows pages in one folder.

    Args:
        folder: where commands run; it is the working directory.

    Attributes:
        scope: variables of the code.
        ran: the commands.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.scope: dict = {"__name__": "journey"}
        self.ran: list[str] = []

    def follow(self, page: str, first: str = "", kinds: Collection[str] = KINDS) -> None:
        """Do what the blocks of a page say, in their order, from a headline on.

        Args:
            kinds: of the blocks; the others are left out.
        """
        text = (ROOT / "docs" / page).read_text()
        blocks = [*BLOCK.findall(text[text.index(first) :]), ("", "")]
        for (kind, code), (_, answer) in itertools.pairwise(blocks):
            if kind not in kinds:
                continue
            if kind == "bash":
                self.type(code)
            elif kind == "python":
                self.execute(code, answer)
            elif kind == "xml":
                (self.folder / "flows.rou.xml").write_text(code)
            elif kind == "json":
                (self.folder / "table.json").write_text(code)

    def execute(self, code: str, answer: str) -> None:
        """Run a block of code; if the page shows an error below it, that error must come."""
        for given, small in SMALLER_CODE.items():
            code = code.replace(given, small)
        refused = REFUSED.match(answer)
        if refused is None:
            exec(self.newest(code), self.scope)
            return
        with pytest.raises(ilvf.UsageError) as found:
            exec(code, self.scope)
        assert str(found.value) == refused[1].strip()

    def type(self, code: str) -> None:
        """Run the lines of a block of commands."""
        code = LOOP.sub(unrolled, code.replace("\\\n", " "))
        for name, value in VARIABLE.findall(code):
            said = subprocess.run(["bash", "-c", f"echo {value}"], text=True, capture_output=True)
            code = code.replace(f"${name}", said.stdout.strip())
        for line in VARIABLE.sub("", code).splitlines():
            typed = shlex.split(self.newest(line), comments=True)
            smaller = {} if "sweep" in typed else SMALLER
            words = [smaller.get(word, word) for word in typed]
            if words and words[0] not in NOT_RUN and NEEDS_A_DISPLAY not in words:
                self.run(words)

    def run(self, words: list[str]) -> None:
        """Run one command; `ilvf` and `python -m` in this process, which has torch already."""
        self.ran.append(" ".join(words))
        if words[0] == "ilvf":
            call(words[1], words[2:])
        elif words[:2] == ["python", "-m"]:
            sys.argv[1:] = words[3:]
            runpy.run_module(words[2], run_name="__main__")
        elif words[0] == "python" and words[1].startswith("examples/"):
            sys.argv[1:] = [*words[2:], *EXAMPLE]
            runpy.run_path(str(ROOT / words[1]), run_name="__main__")
        else:
            program = sys.executable if words[0] == "python" else words[0]
            subprocess.run([program, *words[1:]], check=True, capture_output=True)

    def newest(self, text: str) -> str:
        """The text with the newest run in place of `RUN`, and a finished one of `RUN_ID`."""
        if "finished" in self.scope:
            text = text.replace("RUN_ID", self.scope["finished"].run_id[0])
        folders = run_folders(self.folder / "runs")
        if not folders:
            return text
        newest = max(folders, key=lambda folder: folder.stat().st_mtime)
        return text.replace("runs/RUN", f"runs/{newest.name}")


def unrolled(loop: re.Match) -> str:
    """The lines of a loop of the shell, once for each word."""
    variable, words, body = loop.groups()
    return "".join(body.replace(f"${variable}", word) for word in words.split())


def call(command: str, arguments: list[str]) -> None:
    """A command of `ilvf` at toy size."""
    asks = {"--help", "--cfg"} & set(arguments)
    toy = {} if asks else sizes(command, arguments)
    given = [word for word in arguments if word.partition("=")[0] not in toy]
    words = [*given, *(f"{key}={value}" for key, value in toy.items())]
    ends = pytest.raises(SystemExit) if asks else contextlib.nullcontext()
    with ends as ended:
        module_of(command).main(words)
    assert not asks or not ended.value.code


def sizes(command: str, words: list[str]) -> dict:
    """The toy sizes of a command: those of the task too, unless a checkpoint or a run has them."""
    toy = dict(TOY.get(command, {}))
    if any(word.startswith(("checkpoint=", "resume=")) for word in words):
        return {k: v for k, v in toy.items() if command != "train" or k == "trainer.max_epochs"}
    if command not in ("train", "evaluate"):
        return toy
    tasks = [word.removeprefix("env=") for word in words if word.startswith("env=")]
    return toy | TEAM.get(tasks[0] if tasks else "encircle", {})


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ilvf"])
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return Reader(tmp_path)


def test_an_owner_of_a_torchrl_pipeline(reader):
    """The code of this page runs in `test_docs.py`."""
    pytest.importorskip("mpe2", reason="needs the extra ilvf[mpe]")
    reader.follow("guides/in_your_pipeline.md", kinds=["bash"])
    assert len(reader.ran) == 2


def test_a_researcher(reader):
    reader.scope["observation"] = torch.randn(3, 4, 18)
    reader.follow("start/first_steps.md")
    names = {line.split()[1] for line in reader.ran}
    assert {"train", "evaluate", "compare", "audit", "influence"} == names
    assert len(reader.ran) == 13
    assert reader.scope["actions"].shape == (3, 4)


def test_a_researcher_who_compares(reader):
    """A run of MAPPO, which the page compares with, is from the first steps."""
    reader.type("ilvf train mappo env.n_agents=4")
    reader.scope["observation"] = torch.randn(3, 4, 18).numpy()
    reader.follow("guides/seeds_and_comparing.md")
    assert (reader.folder / "runs" / "compare-encircle.png").is_file()
    assert len(reader.scope["finished"]) == 1
    assert reader.scope["actions"].shape == (3, 4)


def test_a_researcher_with_an_own_environment(reader, monkeypatch):
    pytest.importorskip("vmas", reason="needs the extra ilvf[vmas]")
    pytest.importorskip("mpe2", reason="needs the extra ilvf[mpe]")
    package = reader.folder / "my_package"
    package.mkdir()
    script = (ROOT / "examples" / "own_env.py").read_text().replace("class Rooms", "class make")
    (package / "envs.py").write_text(script)
    monkeypatch.syspath_prepend(reader.folder)
    reader.scope |= runpy.run_path(str(ROOT / "examples" / "own_env.py"))
    reader.follow("guides/your_own_env.md")
    assert reader.scope["found"].significant.shape == (6, 6)
    assert len(run_folders(reader.folder / "runs")) == 2


def test_a_traffic_engineer_up_to_traci(reader):
    """An own network, from its file to trained signals in a SUMO that the library did not start."""
    pytest.importorskip("sumo", reason="needs the extra ilvf[sumo]")
    reader.follow("guides/your_own_network.md")
    reader.type("ilvf export checkpoint=runs/RUN to=signals")
    reader.follow("guides/deploy.md", "## Traffic signals in your own simulation")
    assert set(reader.scope["states"]) == {signal.id for signal in reader.scope["city"].signals}


def test_a_user_of_trained_teams(reader):
    pytest.importorskip("sumo", reason="needs the extra ilvf[sumo]")
    reader.scope["ilvf"] = ilvf
    reader.follow("guides/zoo.md")
    assert (reader.folder / "policy.onnx").exists()
    assert (reader.folder / "signals.ilvf").exists()
    assert reader.scope["policy"].config["env"]["n_agents"] == 20


def test_a_user_of_benchmarl(reader, monkeypatch):
    if importlib.util.find_spec("benchmarl") is None:
        pytest.skip("needs BenchMARL")
    importlib.import_module("ilvf.integrations.benchmarl")  # before benchmarl
    from benchmarl.experiment import ExperimentConfig

    given = ExperimentConfig.get_from_yaml

    def small(path=None):
        config = given(path)
        config.max_n_frames = config.on_policy_collected_frames_per_batch = 200
        config.on_policy_n_envs_per_worker = 2
        config.on_policy_n_minibatch_iters = 1
        config.on_policy_minibatch_size = 100
        config.evaluation = False
        config.save_folder = str(reader.folder)
        return config

    monkeypatch.setattr(ExperimentConfig, "get_from_yaml", small)
    reader.follow("guides/benchmarl.md")
    assert list(reader.folder.rglob("*.csv"))
