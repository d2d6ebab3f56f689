"""From defaults, an environment, a preset, a checkpoint and overrides to a resolved config.

`env=NAME` takes a declared environment, or a yaml overlay of one (`configs/env/NAME.yaml`).
`preset=NAME` sets those keys of `configs/preset/NAME.yaml` that the command has. Later sources win:
defaults, environment overlay, preset or saved config, command line.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ilvf.envs.options import ENVIRONMENTS, expanded
from ilvf.errors import UsageError, require
from ilvf.experiment.renamed import ADDED, renamed_argument, renamed_key, renamed_value
from ilvf.experiment.schema import (
    Leaf,
    Schema,
    flatten,
    require_known,
    require_literal,
    require_mapping,
)
from ilvf.options import nearest, one_line, parse_yaml, read_yaml, require_usable_path, shown

Config = DictConfig
OVERLAYS = Path(__file__).with_name("configs")
RESUMING = ("resume", "checkpoint")  # keys that name a checkpoint, whose config counts
MOST_BYTES = 1_000_000  # of a yaml file
SAVED_SECTIONS = ("algorithm", "trainer")
NOT_OF_A_PRESET = (*RESUMING, "preset", "seeds")  # keys that a command line alone has


def resolve(schema: Schema, arguments: Iterable[str] = ()) -> Config:
    """The config of a command for arguments `key=value`.

    Raises:
        UsageError: an unknown key, with the nearest known one; a value of another type or out of
            bounds; a missing file.
    """
    given = expanded(given_values(arguments))
    known = schema.leaves(None)
    for key in RESUMING:
        if key in known and given.get(key) not in (None, "", "null"):
            return _resume(schema, given, key)
    word = given.pop("env", schema.env) if schema.env else None
    env, overlay = environment_of(word)
    leaves = schema.leaves(env)
    values = defaults(leaves)
    update(values, leaves, {f"env.{k}": v for k, v in overlay.items()}, "environment")
    preset = given.get("preset")
    if preset:
        content = overlay_of("preset", preset)
        update(values, leaves, preset_part(leaves, content, f"preset {preset}"), f"preset {preset}")
    require_confirmed(values, leaves, given, "the environment or preset file")
    update_from_text(values, leaves, given)
    make_files_absolute(values, leaves)
    return schema.structured(values, env)


def require_confirmed(
    values: Mapping[str, Any], leaves: Mapping[str, Leaf], given: Mapping[str, str], where: str
) -> None:
    """Raise if a file sets what the user must give again, such as a task that imports code.

    Args:
        given: the keys of the command line.
        where: what the values come from, for the message.
    """
    for name, leaf in leaves.items():
        if name not in given:
            leaf.require_confirmed(values[name], where)


def confirmed_words(schema: Schema, env: str, words: Iterable[str]) -> list[str]:
    """`key=value` of a command line that no file may set, to be given again with a checkpoint.

    Args:
        schema: of the command that reads the checkpoint.
        env: name of the environment.
        words: of the command line that has made it.
    """
    leaves = schema.leaves(env)
    given = expanded({key: text for key, _, text in (word.partition("=") for word in words)})
    guarded = {key for key, leaf in leaves.items() if leaf.metadata.get("confirm")}
    return [
        f"{key}={text}"
        for key, text in given.items()
        if key in guarded and leaves[key].effect_of(leaves[key].parsed(text))
    ]


def _resume(schema: Schema, given: dict[str, str], key: str) -> Config:
    """The config in a checkpoint, under today's defaults; its environment and seed wholly."""
    from ilvf.checkpoints.verify import require_config
    from ilvf.experiment.checkpoint_argument import checkpoint_of, require_resumable

    clash = [k for k in ("preset", "env") if k in given]
    require(
        not clash,
        f"{' and '.join(clash)} cannot be combined with resume or checkpoint, whose config counts",
    )
    plain = schema.leaves(None)
    out = plain["out"].parsed(given["out"]) if "out" in given else plain["out"].default
    path, content = checkpoint_of(key, plain[key].parsed(given[key]), Path(out))
    given[key] = str(path)
    saved = require_config(path, content)
    if key == "resume":
        require_same_algorithm(path, saved, schema.name)
    env, values = saved_values(schema, saved, str(path))
    leaves = schema.leaves(env)
    if key == "resume":
        require_resumable(path, content, off_policy="algorithm.capacity" in leaves)
    require_confirmed(values, leaves, given, f"the checkpoint {path}")
    update_from_text(values, leaves, given)
    make_files_absolute(values, leaves)
    return schema.structured(values, env)


def require_same_algorithm(path: Path, saved: Mapping[str, Any], name: str) -> None:
    """Raise if a run of another algorithm is to be resumed; the first version named none."""
    found = saved.get("recipe", name)
    require(
        found == name,
        f"checkpoint {path} is of {one_line(found)}, and this command trains {name}; "
        f"write ilvf train {one_line(found)} resume=...",
    )


def make_files_absolute(values: dict[str, Any], leaves: Mapping[str, Leaf]) -> None:
    """Give the environment's files that exist their absolute paths, for use from any folder."""
    for key, leaf in leaves.items():
        if key.startswith("env.") and leaf.metadata["path"]:
            values[key] = absolute(values[key])


def absolute(value: Any) -> Any:
    """A path, or a list of paths, absolute where it exists; other values as they are."""
    if isinstance(value, list):
        return [absolute(item) for item in value]
    if isinstance(value, str) and value and os.path.exists(value):
        return os.path.abspath(value)
    return value


def saved_values(
    schema: Schema, saved: Mapping[str, Any], where: str
) -> tuple[str | None, dict[str, Any]]:
    """(environment, flat values) of a saved config: the keys that `schema` has, in today's form."""
    env = environment_of(saved["env"]["name"])[0]
    leaves = schema.leaves(env)
    values = defaults(leaves)
    laid = {**ADDED, "seed": saved["seed"]}
    laid |= {f"env.{name}": value for name, value in saved["env"].items() if name != "name"}
    for section in SAVED_SECTIONS:
        for name, value in saved.get(section, {}).items():
            key = renamed_key(f"{section}.{name}")
            laid[key] = renamed_value(key, value)
    update(values, leaves, known_part(leaves, laid), f"the config in {where}")
    return env, values


# ---------------------------------------------------------------------- environments and presets
def environment_of(word: str | None) -> tuple[str | None, Mapping[str, Any]]:
    """(declared name, values) of an environment or of an overlay of one."""
    if word is None or word in ENVIRONMENTS:
        return word, {}
    overlay = dict(overlay_of("env", word, more=ENVIRONMENTS))
    name = overlay.pop("name", None)
    require(
        isinstance(name, str) and name in ENVIRONMENTS,
        f"env={word} has no name of a known environment, found {shown(name)}",
    )
    assert name is not None
    return name, overlay


def overlay_of(kind: str, name: str, more: Iterable[str] = ()) -> Mapping[str, Any]:
    """The content of `configs/KIND/NAME.yaml`, or of the file NAME if it ends in .yaml."""
    known = [*more, *overlays(kind)]
    path = OVERLAYS / kind / f"{name}.yaml"
    exists = name in known
    if name.endswith(".yaml"):
        require_usable_path(kind, name)
        path = Path(name)
        exists = path.is_file()
    require(
        exists,
        f"{kind}={one_line(name)} is not known; choose one of {', '.join(known)}"
        f"{nearest(name, known)}",
    )
    return require_mapping(read_yaml(text_of(path), f"{path} is no yaml file"), str(path))


def text_of(path: Path) -> str:
    """The text of a yaml file.

    Raises:
        UsageError: it cannot be read, is too large, or is not text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        require(len(content) <= MOST_BYTES, f"{path} has more than {MOST_BYTES} bytes")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no yaml file: it is not UTF-8 ({error.reason})") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from error


def overlays(kind: str) -> list[str]:
    """Names of the overlays of a kind: `env`, `preset`, `study` or `task`."""
    return sorted(path.stem for path in (OVERLAYS / kind).glob("*.yaml"))


# ---------------------------------------------------------------------- values
def given_values(arguments: Iterable[str]) -> dict[str, str]:
    """Key → text of a command line, in today's names; says so if a key is given twice."""
    given: dict[str, str] = {}
    for argument in arguments:
        key, text = renamed_argument(*split(argument))
        if key in given and given[key] != text:
            print(f"note: {key} is given twice; {key}={one_line(text)} counts", file=sys.stderr)
        given[key] = text
    return given


def split(argument: str) -> tuple[str, str]:
    """(key, text) of `key=text`."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the argument {shown(argument)} is not valid UTF-8") from error
    key, equals, text = argument.partition("=")
    require(
        bool(equals and key),
        f"{shown(argument)} is not of the form key=value; --help lists the keys",
    )
    require(
        bool(text.strip()), f"{one_line(key)}= has no value; write {one_line(key)}=null for none"
    )
    return key, text


def defaults(leaves: Mapping[str, Leaf]) -> dict[str, Any]:
    """The default of every key."""
    return {key: leaf.default for key, leaf in leaves.items()}


def update(
    values: dict[str, Any], leaves: Mapping[str, Leaf], changes: Mapping[str, Any], where: str
) -> None:
    """Set typed values, flat or nested, from a file."""
    for key, value in changes.items():
        leaf = leaves.get(key)
        if leaf is None and isinstance(value, Mapping):
            update(values, leaves, {f"{key}.{k}": v for k, v in value.items()}, where)
        else:
            assign(values, require_known(key, leaves, where), key, value)


def update_from_text(
    values: dict[str, Any], leaves: Mapping[str, Leaf], given: Mapping[str, str]
) -> None:
    """Set the values that a command line gives as text."""
    for key, text in given.items():
        leaf = require_known(key, leaves, "command line")
        value = leaf.parsed(text) if key == leaf.key else parse_yaml(key, text)
        assign(values, leaf, key, value)


def assign(values: dict[str, Any], leaf: Leaf, key: str, value: Any) -> None:
    """Set a leaf, or an entry below an open one."""
    if key == leaf.key:
        values[key] = leaf.checked(value)
        return
    *path, last = key.removeprefix(f"{leaf.key}.").split(".")
    inner = values[leaf.key] = dict(values[leaf.key])
    for name in path:
        below = inner.get(name)
        require(
            below is None or isinstance(below, Mapping),
            f"{one_line(key)} lies in {one_line(name)}={shown(below)}, which is not a mapping",
        )
        inner[name] = dict(below or {})
        inner = inner[name]
    require_literal(key, value)
    inner[last] = value


def preset_part(
    leaves: Mapping[str, Leaf], content: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The entries of a preset that this command has keys for.

    Raises:
        UsageError: it has a key that a command line alone can have, such as `seeds`.
    """
    require_sections(leaves, content, where)
    known = known_part(leaves, content)
    for key in NOT_OF_A_PRESET:
        value = known.pop(key, None)  # null in what --cfg has printed
        require(
            value is None,
            f"{where} has {key}={shown(value)}, which no preset can set; give it on the command "
            "line",
        )
    return known


def require_sections(leaves: Mapping[str, Leaf], content: Mapping[str, Any], where: str) -> None:
    """Raise unless every section of a file, such as `algorithm`, is a mapping."""
    sections = {key.partition(".")[0] for key in leaves if "." in key}
    for name in sections & set(content):
        require_mapping(content[name], f"{name} in {where}")


def known_part(leaves: Mapping[str, Leaf], content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a file that this command has keys for."""
    known = {}
    for key, value in flatten(content).items():
        open_leaf = any(leaf.is_open and key.startswith(f"{k}.") for k, leaf in leaves.items())
        if key in leaves or open_leaf:
            known[key] = value
    return known
