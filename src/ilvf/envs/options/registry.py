"""The declaration of environments, by which commands, tests and documentation find them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ilvf.errors import require
from ilvf.options import Options, nearest


@dataclass(frozen=True)
class Declaration:
    """Where an environment is.

    Attributes:
        options: dataclass of its options.
        make: "module:callable", called with the options, `num_envs`, `seed` and `device`.
        contract: options of a small instance that the contract tests run; None for an environment
            that needs a simulator or an external task.
        needs: "module:function", called with the options, which raises `UsageError` if this machine
            lacks a package or a file that the environment needs; None if it needs none.
    """

    options: type[Options]
    make: str
    contract: Mapping[str, Any] | None = field(default=None)
    needs: str | None = None


ENVIRONMENTS: dict[str, Declaration] = {}
O = TypeVar("O", bound=type[Options])


def environment(
    name: str,
    make: str,
    contract: Mapping[str, Any] | None = None,
    needs: str | None = None,
) -> Callable[[O], O]:
    """Declare the environment `name`; see `Declaration`."""

    def register(options: O) -> O:
        ENVIRONMENTS[name] = Declaration(options, make, contract, needs)
        return options

    return register


def classes() -> dict[str, list[str]]:
    """Module → environment classes that it defines, of all declared environments."""
    found: dict[str, list[str]] = {}
    for declared in ENVIRONMENTS.values():
        module, _, name = declared.make.partition(":")
        if name[0].isupper():
            found.setdefault(module, []).append(name)
    return found


def declaration_of(name: str) -> Declaration:
    """The declaration of an environment.

    Raises:
        UsageError: no environment has this name.
    """
    known = list(ENVIRONMENTS)
    require(
        name in ENVIRONMENTS,
        f"env={name!r} is not known; choose one of {', '.join(known)}{nearest(name, known)}",
    )
    return ENVIRONMENTS[name]
