"""The declaration of algorithms, by which commands, tests and documentation find them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ilvf import plugins
from ilvf.errors import require
from ilvf.options import nearest

if TYPE_CHECKING:
    from ilvf.algorithms.options.training import AlgorithmConfig

ALGORITHMS: dict[str, "type[AlgorithmConfig]"] = {}
CLASSES: dict[str, str] = {}  # LightningModule → module of this package that defines it
C = TypeVar("C", bound="type[AlgorithmConfig]")


def algorithm(name: str, module: str, build: str | None = None) -> Callable[[C], C]:
    """Declare the config of an algorithm.

    A function `build(config, make_env, env, seed)` returns the LightningModule. The command line,
    the tests and the documentation find it by this declaration.

    Args:
        name: NAME, of the file, the recipe and the command.
        module: class of the LightningModule; the first algorithm that declares it defines it.
        build: "package.module:function" of an algorithm of another package; by default
            "ilvf.algorithms.NAME:build".
    """

    def register(config: C) -> C:
        require(
            name not in ALGORITHMS or ALGORITHMS[name].__module__ == config.__module__,
            f"the algorithm {name!r} is declared already; {config.__name__} needs another name",
        )
        ALGORITHMS[name] = config
        config.declared = name
        config.builder = build or f"ilvf.algorithms.{name}:build"
        if build is None:
            CLASSES.setdefault(module, name)
        return config

    return register


def config_of(name: str) -> "type[AlgorithmConfig]":
    """The config dataclass of an algorithm; imports the package that has registered it.

    Raises:
        UsageError: no algorithm has this name.
    """
    if name not in ALGORITHMS:
        plugins.import_modules()
    found = plugins.registered(plugins.ALGORITHMS)
    if name not in ALGORITHMS and name in found:
        config_class(found[name])
    known = sorted({*ALGORITHMS, *found})
    require(
        name in ALGORITHMS,
        f"the algorithm {name!r} is not known; "
        f"choose one of {', '.join(known)}{nearest(name, known)}",
    )
    return ALGORITHMS[name]


def name_of(word: str) -> str:
    """The declared name that the word of a command line means.

    Args:
        word: a name, or `package.module:CONFIG`, which is imported; no file may name code so.

    Raises:
        UsageError: it names no config.
    """
    return config_class(word).declared if plugins.is_reference(word) else word


def config_class(reference: str) -> "type[AlgorithmConfig]":
    """The config that `package.module:CONFIG` names, which its module has declared."""
    found = plugins.load(reference, "the algorithm")
    require(
        isinstance(found, type) and found in ALGORITHMS.values(),
        f"the algorithm {reference} is no config; declare it by "
        '@algorithm(NAME, CLASS, build="package.module:function")',
    )
    return found
