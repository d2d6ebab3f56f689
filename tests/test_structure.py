"""Rules of the code's structure, and the measures that check them."""

import importlib
import sys

import pytest

from helpers import ROOT

sys.path.insert(0, str(ROOT / "tools"))
structure = importlib.import_module("structure")
shape = structure.shape
imports = structure.imports
private_names = structure.private_names
mentions = structure.mentions
Source = structure.Source

CODE = structure.read("src/ilvf", "recipes")
CHECKS = ("errors.py", "modules/checks.py")  # what they do is said by their names
OWNERS_OF_DEFAULTS = {  # the options classes that declare a hyper-parameter
    "gamma": {"OnPolicyOptions", "TDOptions"},  # the two families have different defaults
    "clip": {"PPOOptions"},
    "input_norm": {"NetworkOptions"},
}


# ---------------------------------------------------------------------- rules of this repository
def assert_none(places):
    """Fail with one place a line if there are any."""
    listed = "\n".join(str(place) for place in places)
    assert not listed, f"\n{listed}"


def test_no_line_is_longer_than_100_characters():
    everything = structure.read("src/ilvf", "recipes", "tests", "benchmarks", "examples", "tools")
    assert_none(place for _, place in shape.long_lines(everything))


def test_no_constructor_has_more_than_8_parameters():
    assert_none(c for c in shape.constructors(CODE) if c[0] > shape.PARAMETERS)


def test_modules_do_not_import_in_a_circle():
    arrows = imports.arrows(imports.modules_of(CODE))
    assert_none(imports.cycles(arrows))
    assert_none(imports.cycles(imports.between_parts(arrows)))


def test_no_module_imports_from_a_higher_layer():
    arrows = imports.arrows(imports.modules_of(CODE))
    assert_none(imports.upward(arrows))


def test_private_names_stay_in_their_file():
    assert_none(private_names.across_files(CODE))


def test_a_gradient_step_runs_at_most_10_files():
    trace = importlib.import_module("gradient_step").trace
    step, iteration = trace()
    counted = [name for name in step if name not in CHECKS]
    assert len(counted) <= 10, counted
    assert "losses/ppo.py" in counted
    assert any(name.startswith("credit/") for name in iteration)


@pytest.mark.parametrize("name", list(OWNERS_OF_DEFAULTS))
def test_each_options_class_declares_a_default_once_and_nobody_else_does(name):
    places = mentions.default_places(name, CODE)
    owners = [place.rpartition(" ")[2] for place in places]
    assert sorted(owners) == sorted(OWNERS_OF_DEFAULTS[name]), places


# ---------------------------------------------------------------------- the measures
def made_up(texts):
    """Modules of a made-up package, from a dict of `credit/signals` → text."""
    return imports.modules_of([Source(f"src/ilvf/{k}.py", text) for k, text in texts.items()])


def test_a_functions_length_leaves_out_its_docstring():
    text = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    # why\n    return a\n'
    assert shape.function_lengths([Source("x.py", text)]) == [(5, "x.py:1 f")]


def test_lines_of_code_leave_out_comments_docstrings_and_blank_lines():
    text = '"""Doc."""\n\n# why\nx = """a\nb"""\ny = (\n    1,  # one\n)\n'
    assert Source("x.py", text).code_lines == {4, 5, 6, 7, 8}


@pytest.mark.parametrize(
    ("line", "packed"),
    [
        ("a, b = x, y", True),
        ("self.a, b = x(), 0", True),
        ("a, b = b, a", False),
        ("a, b = f()", False),
        ("a = x, y", False),
        ("a, *b = x, y, z", False),
    ],
)
def test_packed_assignments_are_told_from_swaps_and_unpacking(line, packed):
    assert bool(shape.tuple_assignments([Source("x.py", line)])) is packed


def test_comprehensions_and_conditional_expressions_count():
    text = "a = [x for x in y]\nb = {x: 1 for x in y}\nc = 1 if a else 2\nd = sum(x for x in y)\n"
    assert len(shape.dense_expressions([Source("x.py", text)])) == 4


def test_a_constructors_parameters_are_counted_without_self():
    text = "class A:\n    def __init__(self, a, /, b, *args, c=1, **options): pass\n"
    assert shape.constructors([Source("x.py", text)]) == [(5, "x.py:2 A")]


def test_a_cycle_is_found_through_functions_and_packages():
    package = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ilvf.c.home import h\n"
    texts = {
        "a": "def f():\n    from ilvf.b import g\n",
        "b": "from ilvf.c import h\n",
        "c/__init__": package,
        "c/home": "import ilvf.a\n",
        "d": "from ilvf.a import f\n",
    }
    arrows = imports.arrows(made_up(texts))
    assert imports.cycles(arrows) == [["ilvf.a", "ilvf.b", "ilvf.c.home"]]


def test_imports_for_type_checkers_make_no_cycle():
    texts = {
        "a": "from ilvf.b import g\n",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ilvf.a import f\n",
    }
    assert imports.cycles(imports.arrows(made_up(texts))) == []


@pytest.mark.parametrize(
    ("start", "end", "allowed"),
    [
        ("algorithms/mappo", "credit/signals", True),
        ("credit/signals", "algorithms/mappo", False),
        ("losses/ppo", "credit/signals", True),
        ("credit/signals", "losses/ppo", False),
        ("data/rollout", "checkpoints/state", True),
        ("envs/base", "modules/mixer", True),
        ("envs/base", "credit/signals", False),
        ("modules/mixer", "envs/base", False),
        ("checkpoints/state", "envs/base", False),
        ("analysis/scores", "envs/base", True),
        ("envs/base", "commands/train", False),
        ("unknown/place", "errors", False),
    ],
)
def test_layers_say_which_imports_are_allowed(start, end, allowed):
    name = f"ilvf/{end}".replace("/", ".")
    arrows = imports.arrows(made_up({start: f"import {name}\n", end: ""}))
    assert (imports.upward(arrows) == []) is allowed


def test_private_names_of_other_files_are_found():
    base = "class Base:\n    def _hook(self): self._state = 1\n    def _step(self): pass\n"
    child = (
        "from base import Base, _helper\n"
        "class Child(Base):\n"
        "    def _hook(self): pass\n"
        "    def _step(self): return self._state\n"
    )
    found = private_names.across_files([Source("base.py", base), Source("child.py", child)])
    assert found == [
        "child.py:1: from base import _helper",
        "child.py:4: self._state",
        "child.py:2: Child overrides Base._hook",
    ]


def test_private_names_read_from_modules_are_found_and_patching_is_not():
    text = (
        "import ilvf.options as options\n"
        "def test(monkeypatch):\n"
        "    monkeypatch.setattr(options._table, 'x', 1)\n"
        "    assert options._shown(1)\n"
    )
    found = private_names.across_files_in_tests([Source("tests/test_x.py", text)])
    assert found == ["tests/test_x.py:4: options._shown"]


def test_files_that_mention_a_name_are_found_outside_comments_and_docstrings(tmp_path):
    texts = {
        "src/ilvf/table.py": "NAMES = ['coma']\n",
        "src/ilvf/talk.py": '"""About coma."""\nx = 1  # COMA\ncomatose = 1\n',
        "recipes/configs/coma.yaml": "base: on_policy\n",
        "recipes/configs/other.yaml": "name: coma\n",
        "docs/page.md": "COMA\n",
        "tests/test_all.py": "ALL = ['coma', 'mappo']\n",
        "tests/test_one.py": "from ilvf import COMA\ndef test(): COMA()\n",
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = mentions.files_of(mentions.COMA, tmp_path)
    assert found == ["src/ilvf/table.py", "recipes/configs/coma.yaml", "tests/test_all.py"]


def test_defaults_are_found_in_signatures_classes_and_yaml(tmp_path):
    text = (
        "def f(clip=0.2, *, gamma: float = 0.9): pass\n"
        "class A:\n    gamma: float = option(0.9, 'discount')\n    clip: float | None = None\n"
        "def g(gamma): f(gamma=gamma)\n"
    )
    folder = tmp_path / "recipes" / "configs"
    (folder / "preset").mkdir(parents=True)
    (folder / "base.yaml").write_text("algorithm:\n  gamma: 0.9\n  clip: null\n")
    (folder / "preset" / "paper.yaml").write_text("gamma: 0.9\n")
    sources = [Source("src/ilvf/x.py", text), Source("src/ilvf/envs/y.py", text)]
    assert mentions.default_places("gamma", sources, tmp_path) == [
        "src/ilvf/x.py:1 f",
        "src/ilvf/x.py:3 A",
        "recipes/configs/base.yaml:2",
    ]
    assert mentions.default_places("clip", sources, tmp_path) == ["src/ilvf/x.py:1 f"]
