"""`from ilvf import ...`: the public names are complete and can be imported."""

import ast
import importlib
import inspect
import json
import subprocess
import sys

import pytest
from lightning import LightningModule

import ilvf
from helpers import ROOT
from ilvf.algorithms.options import ALGORITHMS
from ilvf.envs.options import ENVIRONMENTS


@pytest.mark.parametrize("name", ilvf.__all__)
def test_a_public_name_can_be_imported_and_is_documented(name):
    value = getattr(ilvf, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ilvf.nothing  # noqa: B018


def test_dir_lists_the_public_names():
    assert dir(ilvf) == sorted(ilvf.__all__)


PACKAGES = ("algorithms", "analysis", "credit", "envs", "envs.traffic", "losses", "modules")
LIST_NAMES = """
import importlib, json, sys

packages = {name: importlib.import_module(f"ilvf.{name}") for name in sys.argv[1:]}
listed = {name: dir(package) for name, package in packages.items()}
print(json.dumps(listed))
"""


@pytest.fixture(scope="module")
def before_use():
    """Package → what `dir` lists before anything is used."""
    command = [sys.executable, "-c", LIST_NAMES, *PACKAGES]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_dir_lists_the_names_of_a_package_before_they_are_used(name, before_use):
    package = importlib.import_module(f"ilvf.{name}")
    assert before_use[name]
    assert [n for n in before_use[name] if not hasattr(package, n)] == []


def test_type_checkers_see_the_same_names():
    """The imports under `if TYPE_CHECKING` are those of the lazy list."""
    tree = ast.parse((ROOT / "src" / "ilvf" / "__init__.py").read_text())
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name for node in guarded.body for alias in node.names}
    assert seen == set(ilvf.__all__) - {"__version__"}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_class_of_every_algorithm_is_public(name):
    module = importlib.import_module(f"ilvf.algorithms.{name}")
    build = inspect.get_annotations(module.build)["return"]
    assert issubclass(build, LightningModule)
    assert getattr(ilvf, build.__name__) is build


@pytest.mark.parametrize("name", [k for k, v in ENVIRONMENTS.items() if v.contract is not None])
def test_the_class_of_every_environment_is_public(name):
    function = ENVIRONMENTS[name].make.rpartition(":")[2]
    assert function in ilvf.__all__


def test_importing_the_package_does_not_import_torch():
    code = "import sys, ilvf; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
