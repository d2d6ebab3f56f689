"""The options reference: tables of all algorithms and environments, read from their dataclasses."""

import dataclasses
import typing
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ilvf.algorithms.options import (
    ALGORITHMS,
    AlgorithmConfig,
    OffPolicyConfig,
    OnPolicyConfig,
)
from ilvf.envs.options import ENVIRONMENTS
from ilvf.options import Options, alternatives, bounds_in_words, describe, words_of

ALGORITHMS_PAGE = "reference/algorithm_options.md"
ENVIRONMENTS_PAGE = "reference/environment_options.md"
HEAD = "| key | default | allowed | meaning |\n|---|---|---|---|"
BOUNDS = ("above", "least", "below", "most")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the two generated pages."""
    files.append(File.generated(config, ALGORITHMS_PAGE, content=algorithms_page()))
    files.append(File.generated(config, ENVIRONMENTS_PAGE, content=environments_page()))
    return files


# ---------------------------------------------------------------------- pages
def algorithms_page() -> str:
    """All algorithms: a list, the shared options, then the options of each."""
    parts = [
        "# Options of the algorithms",
        "These tables are generated from `ilvf/algorithms/options.py`. Each algorithm lists what "
        "it adds to the shared options, or gives another default. "
        "`ilvf train NAME --help` prints the same.",
        "| algorithm | name | default frames |\n|---|---|---|",
    ]
    parts[-1] += "".join(f"\n| {algorithm_row(name)} |" for name in ALGORITHMS)
    parts += [
        "## Shared by all algorithms",
        table(AlgorithmConfig, None, "algorithm"),
        "## Shared by on-policy algorithms",
        table(OnPolicyConfig, AlgorithmConfig, "algorithm"),
        "## Shared by off-policy algorithms",
        table(OffPolicyConfig, AlgorithmConfig, "algorithm"),
    ]
    for name, config in ALGORITHMS.items():
        parts += [f"## `{name}` {{ #{name} }}", summary(config), table(config, family(config), "algorithm")]
    return "\n\n".join(parts) + "\n"


def environments_page() -> str:
    """All environments: a list, then the options of each."""
    parts = [
        "# Options of the environments",
        "These tables are generated from `ilvf/envs/options.py`. "
        "`env=NAME` chooses an environment, `env.KEY=VALUE` sets an option.",
        "| environment | what it is |\n|---|---|",
    ]
    for name, declaration in ENVIRONMENTS.items():
        parts[-1] += f"\n| [`{name}`](#{name}) | {summary(declaration.options)} |"
    for name, declaration in ENVIRONMENTS.items():
        parts += [f"## `{name}` {{ #{name} }}", summary(declaration.options)]
        parts.append(table(declaration.options, None, "env"))
    return "\n\n".join(parts) + "\n"


def algorithm_row(name: str) -> str:
    """One row of the list of algorithms."""
    config = ALGORITHMS[name]
    defaults = config()
    frames = config.iterations * defaults.num_envs * defaults.rollout_steps
    return f"[{config.title}](#{name}) | `{name}` | {frames:,}".replace(",", " ")


def family(config: type[Options]) -> type[Options]:
    """The shared options that an algorithm adds to."""
    for shared in (OnPolicyConfig, OffPolicyConfig):
        if issubclass(config, shared):
            return shared
    return AlgorithmConfig


# ---------------------------------------------------------------------- tables
def table(config: type[Options], base: type[Options] | None, prefix: str) -> str:
    """The options that `config` adds to `base`, or whose default differs from it."""
    known = {} if base is None else {f.name: default_of(f) for f in dataclasses.fields(base)}
    hints = typing.get_type_hints(config)
    rows = []
    for field in dataclasses.fields(config):
        if field.name in known and known[field.name] == default_of(field):
            continue
        rows.append(row(field, hints[field.name], prefix))
    if not rows:
        return "No options of its own."
    return "\n".join([HEAD, *rows])


def row(field: dataclasses.Field[Any], kind: Any, prefix: str) -> str:
    """One option as a row of a table."""
    meaning = field.metadata["meaning"].replace("|", "\\|")
    default = as_typed(default_of(field))
    return f"| `{prefix}.{field.name}` | `{default}` | {allowed(field, kind)} | {meaning} |"


def allowed(field: dataclasses.Field[Any], kind: Any) -> str:
    """The type and the bounds of an option, in words."""
    kinds = alternatives(kind)
    words = words_of([k for k in kinds if k is not type(None)])
    if words:
        return ", ".join(f"`{word}`" for word in words)
    if Any in kinds:
        return "any"
    bounds = [field.metadata[name] for name in BOUNDS]
    if all(bound is None for bound in bounds):
        return describe(kind)
    return f"{describe(kind)}; {bounds_in_words(*bounds)}"


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field, made by its factory if it has one."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def as_typed(value: Any) -> str:
    """A value as the command line has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def summary(config: type[Options]) -> str:
    """The first line of a docstring."""
    return (config.__doc__ or "").strip().splitlines()[0]
