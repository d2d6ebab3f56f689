"""The documentation: code runs, commands exist, lists are complete, links resolve."""

import importlib
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ilvf
from helpers import ROOT
from ilvf.algorithms import options
from ilvf.algorithms.options import ALGORITHMS
from ilvf.commands.cli import COMMANDS, module_of
from ilvf.envs.options import ENVIRONMENTS, expanded
from ilvf.experiment.config import environment_of, overlays, split
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import require_known
from ilvf.plugins import is_reference

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
README_LINES = 120


def blocks(path: Path, kind: str) -> list[str]:
    """The code blocks of a kind in a Markdown file."""
    return [code for name, code in BLOCK.findall(path.read_text()) if name == kind]


def name_of(path: Path) -> str:
    """The name of a page in test ids."""
    return str(path.relative_to(ROOT))


# ---------------------------------------------------------------------- code
PRELUDE = """
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.modules import ProbabilisticActor
from torchrl.objectives import ValueEstimators
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import MultiAgentGAE
from ilvf import *

torch.manual_seed(0)
N = 4
env = Encircle(N, num_envs=8, horizon=10, seed=0)
actor_net = CategoricalActor(N, env.observation_dim, env.n_actions)
logits = TensorDictModule(
    actor_net.log_probs, in_keys=[("agents", "observation")], out_keys=[("agents", "logits")]
)
actor = ProbabilisticActor(
    logits,
    in_keys=[("agents", "logits")],
    out_keys=[("agents", "action")],
    distribution_class=torch.distributions.Categorical,
    return_log_prob=True,
    log_prob_key=("agents", "action_log_prob"),
)
rollout = env.rollout(20, actor, break_when_any_done=False).detach()
"""

GROUPS = """
state_dim, n_actions = 3, 2


def part(n):
    return {
        "observation": torch.randn(6, 8, n, 3),
        "reward": torch.randn(6, 8, n, 1),
        "action": torch.randint(2, (6, 8, n)),
    }


def teams():
    return {"cars": part(2), "lights": part(3)}


ends = {"done": torch.rand(6, 8, 1) < 0.2, "terminated": torch.zeros(6, 8, 1, dtype=torch.bool)}
traffic = TensorDict({**teams(), "next": {**teams(), **ends}}, [6, 8])
"""

VALUES = """
value = StateCritic(N, env.state_dim).value_module()
gae = MultiAgentGAE(gamma=0.99, lmbda=0.95, value_network=None)
"""


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_python_block_compiles(page):
    for code in blocks(page, "python"):
        compile(code, name_of(page), "exec")


def test_the_pipeline_page_runs(tmp_path, monkeypatch):
    """Its blocks run one after the other, as a reader would run them."""
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(PRELUDE + GROUPS, scope)
    snippets = blocks(DOCS / "guides" / "in_your_pipeline.md", "python")
    assert len(snippets) == 10
    found = []
    for snippet in snippets:
        exec(snippet, scope)
        found.append(scope["rollout"]["agents", "influence"].clone())
    fixed_graph = scope["env"].reward_graph.T.float()
    assert torch.equal(found[2], fixed_graph.expand_as(found[2]))
    check_groups(scope)
    check_scale(scope["terms"])
    check_redraw(scope["flat"], scope["rollout"])
    check_masks(scope["flat"])
    assert scope["loss"](scope["flat"])["loss_objective"].isfinite()
    check_collector_and_buffer(scope)


def check_groups(scope):
    traffic = scope["traffic"]
    assert traffic["cars", "advantage"].shape == (6, 8, 2, 1)
    assert traffic["lights", "advantage"].shape == (6, 8, 3, 1)
    assert traffic["influence"].shape == (6, 8, 5, 5)
    trained = scope["optimiser"].state
    read_by_q = {"action_value", "attention", "first"}
    for name, parameter in scope["of_five"].named_parameters():
        if name.split(".")[0] in read_by_q and "of_value" not in name:
            assert parameter in trained, name


def check_scale(terms):
    assert 0 < terms["loss_critic"] < 10
    assert 0 < terms["loss_action_value"] < 40


def check_redraw(flat, rollout):
    """`mix` has drawn another Ŵ than the first call."""
    drawn = flat["agents", "influence"]
    assert not torch.equal(drawn, rollout["agents", "influence"].reshape(drawn.shape))


def check_masks(flat):
    dead = ~flat["agents", "mask"]
    assert dead.any()
    assert not flat["agents", "advantage"][dead].any()


def check_collector_and_buffer(scope):
    for batch in scope["collector"]:
        assert batch["agents", "advantage"].shape == (8, 20, 4, 1)
    scope["collector"].shutdown()
    scope["buffer"].extend(scope["rollout"].exclude(("agents", "advantage")))
    assert scope["buffer"].sample()["agents", "advantage"].shape == (4, 20, 4, 1)


def test_the_pipeline_page_shows_the_lines_of_the_example():
    """The added lines of its diff are the lines that the script marks with `# ILVF`."""
    [diff] = blocks(DOCS / "guides" / "in_your_pipeline.md", "diff")
    shown = [line[1:].strip() for line in diff.splitlines() if line.startswith("+")]
    script = (ROOT / "examples" / "mappo_pettingzoo.py").read_text().splitlines()
    marked = [line.strip() for line in script if line.endswith("# ILVF")]
    assert shown == [line.removesuffix("# ILVF").strip() for line in marked]


def test_the_influence_page_runs():
    """Its blocks run one after the other; the last two define sources of influence."""
    scope: dict = {}
    exec(PRELUDE + VALUES, scope)
    found = []
    for snippet in blocks(DOCS / "guides" / "your_own_influence.md", "python"):
        exec(snippet, scope)
        found.append(scope["rollout"].get(("agents", "influence"), None))
    assert len(found) == 5
    assert isinstance(scope["nearest"](env=None, actor=None), scope["Nearest"])
    place = scope["rollout"]["agents", "state"][..., 2:4]
    near = torch.cdist(place, place) <= 1.0
    assert torch.equal(found[2].bool(), near)
    correlation = scope["advantage"].source.mean
    assert not torch.equal(correlation, torch.eye(4))
    assert torch.equal(found[3], correlation.expand_as(found[3]))


def test_the_algorithm_page_trains():
    scope: dict = {}
    training, _ = blocks(DOCS / "guides" / "your_own_algorithm.md", "python")
    exec(training, scope)
    assert "eval/return/team" in scope["algorithm"].last_metrics


def test_the_algorithm_page_declares_a_command(monkeypatch):
    for name in ("ALGORITHMS", "CLASSES"):
        known = dict(getattr(options, name))
        monkeypatch.setattr(options, name, known)
    _, declaring = blocks(DOCS / "guides" / "your_own_algorithm.md", "python")
    exec(declaring, {"__name__": "my_package.ring"})
    assert training_schema("ring").leaves("encircle")["algorithm.reach"].default == 1


@pytest.mark.slow
def test_the_theory_page_runs():
    """Its assertions hold."""
    scope: dict = {}
    snippets = blocks(DOCS / "concepts" / "theory.md", "python")
    assert sum("assert" in snippet for snippet in snippets) == 3
    for snippet in snippets:
        exec(snippet, scope)


def test_the_readme_example_runs():
    scope: dict = {}
    exec(PRELUDE, scope)
    env = scope["env"]
    scope |= {"n_agents": 4, "state_dim": env.state_dim, "n_actions": env.n_actions}
    scope["actor"] = scope["actor_net"]
    exec(blocks(ROOT / "README.md", "python")[0], scope)
    losses = {key: term for key, term in scope["loss"].items() if key.startswith("loss_")}
    assert len(losses) >= 3
    assert all(term.isfinite() for term in losses.values())


# ---------------------------------------------------------------------- commands
def commands_in(page: Path) -> list[list[str]]:
    """The `ilvf ...` commands in a page's shell blocks, as words."""
    found = []
    for code in blocks(page, "bash"):
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip().startswith("ilvf "):
                found.append(shlex.split(line, comments=True)[1:])
    return found


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_commands_and_their_keys_exist(page):
    for words in commands_in(page):
        if words[0] != "COMMAND" and not words[0].startswith("-"):
            check_command(words)


def check_command(words: list[str]) -> None:
    """Raise unless the command and each key of its arguments are known."""
    name, *rest = words
    assert name in COMMANDS, words
    has_recipe = name in ("train", "sweep") and "=" not in rest[0] and not rest[0].startswith("-")
    recipe = rest.pop(0) if has_recipe else "ilvf_p"
    if is_reference(recipe):  # of the reader's package
        return
    schema = training_schema(recipe) if name == "train" else module_of(name).SCHEMA
    if name == "study":
        known = (*overlays("study"), "temperature.yaml", "NAME")
        assert rest.pop(0) in known, words
    pairs = expanded(dict(split(word) for word in rest if not word.startswith("-")))
    env, _ = environment_of(pairs.pop("env", schema.env))
    leaves = schema.leaves(env)
    if name == "sweep":
        leaves |= training_schema(recipe).leaves(env or "encircle")
    if "checkpoint" in pairs:  # its environment can be any
        for other in ENVIRONMENTS:
            leaves |= schema.leaves(other)
    for key in pairs:
        require_known(key, leaves, " ".join(words))


def test_each_figure_has_a_command_that_exists():
    text = (DOCS / "results" / "figures.md").read_text()
    table = text.partition("## Which command makes which figure")[2].partition("\n## ")[0]
    assert all(f"\n| {number}, " in table for number in range(1, 10))
    commands = re.findall(r"`ilvf ([^`]+)`", table)
    assert len(commands) >= 10
    for command in commands:
        check_command(command.split())


def test_commands_are_found():
    """The test above looks at something."""
    assert len(list(itertools.chain.from_iterable(map(commands_in, TEXTS)))) > 40


# ---------------------------------------------------------------------- lists and names
@pytest.fixture
def options_reference(monkeypatch):
    """The module that writes the options reference."""
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(DOCS / "_hooks"))
    return importlib.import_module("options_reference")


def test_the_options_reference_has_every_algorithm_and_each_of_its_options(options_reference):
    page = options_reference.algorithms_page()
    for name in ALGORITHMS:
        assert f"\n## `{name}`" in page
        for key in training_schema(name).leaves(None):
            if key.startswith("algorithm."):
                assert f"| `{key}` |" in page


def test_the_options_reference_has_every_environment_and_each_of_its_options(options_reference):
    page = options_reference.environments_page()
    for name in ENVIRONMENTS:
        section = page.split(f"\n## `{name}`")[1].split("\n## ")[0]
        keys = training_schema("ilvf_p").leaves(name)
        for key in keys:
            if key.startswith("env."):
                assert f"| `{key}` |" in section


def test_the_options_reference_has_every_command(options_reference):
    page = options_reference.commands_page()
    assert all(f"\n## `ilvf {name}`" in page for name in COMMANDS)


def test_the_map_from_paper_to_code_names_code_that_exists():
    text = (DOCS / "reference" / "paper_to_code.md").read_text()
    references = re.findall(r"`([\w/]+\.py):(\w+)`", text)
    assert len(references) > 50
    for file, name in references:
        source = (ROOT / "src" / "ilvf" / file).read_text()
        defined = re.search(rf"^\s*(def|class) {name}\b", source, re.MULTILINE)
        assert defined, f"{file} has no {name}"


@pytest.mark.parametrize("number", range(1, 23))
def test_the_map_from_paper_to_code_has_every_equation(number):
    text = (DOCS / "reference" / "paper_to_code.md").read_text()
    ranges = re.findall(r"[Ee]qs?\. (\d+)(?:-(\d+))?", text)
    assert any(int(first) <= number <= int(last or first) for first, last in ranges)


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_files_that_a_page_names_exist(page):
    folders = "src|tests|examples|recipes|benchmarks|docs"
    named = re.findall(rf"`((?:{folders})/[\w/.]+)`", page.read_text())
    missing = [path for path in named if "NAME" not in path and not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_modules_that_a_page_runs_can_be_run(page):
    for name in re.findall(r"python -m (ilvf[\w.]*)", page.read_text()):
        path = ROOT / "src" / name.replace(".", "/")
        program = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert program.is_file(), name
        assert program.name == "__main__.py" or "__main__" in program.read_text(), name


def test_the_citation_has_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {ilvf.__version__}\n" in citation


# ---------------------------------------------------------------------- README, links, the site
def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("page", TEXTS[:2], ids=name_of)
def test_links_of_the_front_pages_resolve(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built strictly: a broken link or a page outside the navigation is an error."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)', page.read_text()
        )
        assert loaded == [], page


@pytest.mark.slow
def test_the_first_run_learns(site):
    page = (site / "tutorials" / "first_run.html").read_text()
    assert "ok: 6 agents, 5 actions" in page
    reward = float(re.search(r"mean r per step\s+(-?[\d.]+)", page)[1])
    assert -2.0 < reward < 0  # a random team gets less than -3
    assert (site / "tutorials" / "first_run.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_experiment_from_python_trains_evaluates_and_resumes(site):
    page = (site / "tutorials" / "experiment.html").read_text()
    assert "did you mean" in page
    assert "100 episodes of encircle" in page
    assert "7 iterations" in page


@pytest.mark.slow
def test_who_credits_whom_finds_the_influence(site):
    page = (site / "tutorials" / "who_credits_whom.html").read_text()
    assert "the same as the exact sets: True" in page
    assert re.search(r"exact sets \(ILVF\)\s+error 0\.000", page)
    assert re.search(r"own return \(IPPO-C\)\s+error 0\.690", page)
    assert float(re.search(r"AUROC against the reward graph ([\d.]+)", page)[1]) > 0.6
    assert (site / "tutorials" / "who_credits_whom.png").stat().st_size > 5000
