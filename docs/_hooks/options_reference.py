"""The options reference: tables of all commands, algorithms and environments."""

from collections.abc import Mapping

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ilvf.algorithms.options import (
    ALGORITHMS,
    AlgorithmConfig,
    OffPolicyConfig,
    OnPolicyConfig,
)
from ilvf.commands.cli import COMMANDS, module_of
from ilvf.envs.options import ENVIRONMENTS
from ilvf.experiment.config import overlays
from ilvf.experiment.options import RunOptions, TrainerOptions
from ilvf.experiment.schema import Leaf, Schema
from ilvf.options import Options

HEAD = "| key | default | allowed | meaning |\n|---|---|---|---|"
Leaves = Mapping[str, Leaf]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "command_options": commands_page(),
        "algorithm_options": algorithms_page(),
        "environment_options": environments_page(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


# ---------------------------------------------------------------------- pages
def commands_page() -> str:
    """The options of a training run, then those of the other commands."""
    parts = [
        "# Options of the commands",
        "These tables are generated from the option dataclasses. "
        "`ilvf COMMAND --help` prints the same.",
        "## `ilvf train`",
        table(keys_of(RunOptions)),
        "Presets: " + ", ".join(f"`preset={name}`" for name in overlays("preset")) + ".",
        table(section_of("trainer", TrainerOptions)),
        "The default of `trainer.max_epochs` depends on the algorithm. The other keys are "
        "`algorithm.*` ([algorithms](algorithm_options.md)) and "
        "`env.*` ([environments](environment_options.md)).",
    ]
    for name, meaning in COMMANDS.items():
        if name != "train":
            leaves = module_of(name).SCHEMA.leaves(None)
            parts += [f"## `ilvf {name}`", meaning, table(leaves)]
    return "\n\n".join(parts) + "\n"


def algorithms_page() -> str:
    """All algorithms: a list, the shared options, then the options of each."""
    shared = section_of("algorithm", AlgorithmConfig)
    parts = [
        "# Options of the algorithms",
        "These tables are generated from `ilvf/algorithms/options`. Each algorithm lists the "
        "options that it adds to the shared ones, and those with another default. "
        "`ilvf train NAME --help` prints the same.",
        "\n".join(["| algorithm | name | default frames | |", "|---|---|---|---|", *summaries()]),
        "## Shared by all algorithms",
        table(shared),
        "## Shared by on-policy algorithms",
        table(section_of("algorithm", OnPolicyConfig), shared),
        "## Shared by off-policy algorithms",
        table(section_of("algorithm", OffPolicyConfig), shared),
    ]
    for name, config in ALGORITHMS.items():
        base = section_of("algorithm", family(config))
        added = table(section_of("algorithm", config), base)
        parts += [f"## `{name}` {{ #{name} }}", first_line(config), added]
    return "\n\n".join(parts) + "\n"


def environments_page() -> str:
    """All environments: a list, then the options of each."""
    rows = [
        f"| [`{name}`](#{name}) | {first_line(declaration.options)} |"
        for name, declaration in ENVIRONMENTS.items()
    ]
    named = ", ".join(f"`env={name}`" for name in overlays("env"))
    parts = [
        "# Options of the environments",
        "These tables are generated from `ilvf/envs/options`. "
        "`env=NAME` chooses an environment, `env.KEY=VALUE` sets an option.",
        "\n".join(["| environment | |", "|---|---|", *rows]),
        f"Names for an environment with some options set: {named}.",
    ]
    for name, declaration in ENVIRONMENTS.items():
        leaves = section_of("env", declaration.options)
        parts += [f"## `{name}` {{ #{name} }}", first_line(declaration.options), table(leaves)]
    return "\n\n".join(parts) + "\n"


def summaries() -> list[str]:
    """One row for each algorithm."""
    rows = []
    for name, config in ALGORITHMS.items():
        defaults = config()
        frames = config.iterations * defaults.num_envs * defaults.rollout_steps
        thousands = f"{frames:,}".replace(",", " ")
        rows.append(
            f"| [{config.title}](#{name}) | `{name}` | {thousands} | {first_line(config)} |"
        )
    return rows


def family(config: type[Options]) -> type[Options]:
    """The shared options that an algorithm adds to."""
    for shared in (OnPolicyConfig, OffPolicyConfig):
        if issubclass(config, shared):
            return shared
    return AlgorithmConfig


# ---------------------------------------------------------------------- tables
def keys_of(options: type[Options]) -> Leaves:
    """The options of a dataclass as keys without a section."""
    return Schema("", "", options).leaves(None)


def section_of(section: str, options: type[Options]) -> Leaves:
    """The options of a dataclass as `section.KEY`."""
    return Schema("", "", Options, {section: options}).leaves(None)


def table(leaves: Leaves, base: Leaves | None = None) -> str:
    """The options that `base` does not have, or has with another default."""
    known = {key: leaf.default for key, leaf in (base or {}).items()}
    rows = [
        row(leaf) for key, leaf in leaves.items() if key not in known or known[key] != leaf.default
    ]
    return "\n".join([HEAD, *rows]) if rows else "Only the shared options."


def row(leaf: Leaf) -> str:
    """One option as a row of a table."""
    meaning = leaf.metadata["meaning"].replace("|", "\\|")
    return f"| `{leaf.key}` | `{as_typed(leaf.default)}` | {leaf.allowed} | {meaning} |"


def as_typed(value: object) -> str:
    """A value as the command line has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def first_line(config: type[Options]) -> str:
    """The first line of a docstring."""
    return (config.__doc__ or "").strip().splitlines()[0]
