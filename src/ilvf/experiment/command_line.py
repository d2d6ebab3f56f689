"""The command line of a recipe: yaml, presets, `key=value`, `--help`, `--cfg`. Imports nothing heavy.

A recipe's yaml is its whole truth: every key with its default and, behind `#`, one line of meaning; with `base: NAME`
on top of `configs/base/NAME.yaml`, which recipes of one kind share. `env=NAME` puts `configs/env/NAME.yaml` under
`env`; `preset=NAME` overlays those keys of `configs/preset/NAME.yaml` that the recipe has; every other argument is
`section.key=value`, or one of the bare keys at the top. What is below `env.kwargs` is passed on unchecked.
"""

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ilvf.errors import UsageError, require

Config = dict[str, Any]
NULLABLE = (
    "algorithm.value_clip",
    "algorithm.threshold",
    "env.reward_cap",
)  # numbers by default that may be null
OPEN = (
    "env.kwargs",
)  # sections that take any key, because their content is passed on to somebody else's code
NUMBERS = (  # keys whose default is null and which are numbers otherwise
    *(
        "algorithm." + k
        for k in ("lr_end", "actor_lr", "target_every", "huber_delta", "value_clip", "eval_steps")
    ),
    *(f"{section}.{k}" for section in ("audit", "influence") for k in ("steps", "gamma")),
    "env.horizon",
    "env.reward_cap",
)
LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?P<value>[^#]*)(#\s*(?P<help>.*))?$")


def command_line(file: str, doc: str, argv: Sequence[str] | None = None) -> Config:
    """The resolved config of the recipe `file` for the arguments `argv`; answers `--help` and `--cfg` and exits.

    Raises:
        UsageError: an unknown key (naming the nearest known one), a value of another kind, a missing file.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    recipe = Path(file)
    flags = {a for a in args if a.startswith("-")}
    unknown = flags - {"--help", "-h", "--cfg"}
    require(
        not unknown,
        f"unknown flag {' '.join(sorted(unknown))}; the flags are --help and --cfg, all else is key=value",
    )
    overrides = _parse([a for a in args if a not in flags])
    if flags & {"--help", "-h"}:
        print(_help(recipe, doc, overrides))
        raise SystemExit(0)
    cfg = resolve(recipe, overrides)
    if "--cfg" in flags:
        print(OmegaConf.to_yaml(OmegaConf.create(cfg)), end="")
        raise SystemExit(0)
    return cfg


def resolve(recipe: Path, overrides: Mapping[str, Any]) -> Config:
    """Defaults, then the environment's file, then the preset (or the config of the run to resume), then `overrides`."""
    given, overrides = set(overrides), dict(overrides)
    base: Any = _defaults(recipe, overrides)
    if overrides.get("resume") is not None or overrides.get("checkpoint") is not None:
        refused = [k for k in ("preset", "env") if k in given]
        require(
            not refused,
            f"{' and '.join(refused)} cannot be combined with resume or checkpoint, whose config counts",
        )
        base = _saved(base, overrides)
    elif (preset := overrides.get("preset")) is not None:
        known = _leaves(base)
        laid = {
            k: v
            for k, v in _leaves(_load(recipe, "preset", preset)).items()
            if k in known or _is_open(base, k)
        }
        base = OmegaConf.merge(base, _flat_to_config(base, laid, f"preset {preset}"))
    merged = OmegaConf.merge(base, _flat_to_config(base, overrides, "command line"))
    return {"recipe": recipe.stem, **OmegaConf.to_container(merged, resolve=True)}  # type: ignore[dict-item]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat.update(
            flatten(value, f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{key}": value}
        )
    return flat


# ---------------------------------------------------------------------- files
def _path(recipe: Path, *parts: str) -> Path:
    return recipe.parent.joinpath("configs", *parts).with_suffix(".yaml")


def _load(recipe: Path, kind: str, name: str) -> DictConfig:
    path = _path(recipe, kind, str(name))
    known = sorted(p.stem for p in path.parent.glob("*.yaml"))
    require(
        path.is_file(),
        f"{kind}={name} is not known; choose one of {', '.join(known)}{_nearest(str(name), known)}",
    )
    return OmegaConf.load(path)  # type: ignore[return-value]


def _defaults(recipe: Path, overrides: dict[str, Any]) -> DictConfig:
    base: Any = OmegaConf.load(_path(recipe, recipe.stem))
    if "base" in base:
        base = OmegaConf.merge(_load(recipe, "base", base.pop("base")), base)
    if "env" in base and isinstance(base.env, str):
        name = overrides.pop("env", base.env)
        base.env = OmegaConf.merge({"name": name}, _load(recipe, "env", name))
    return base


def _saved(base: Any, overrides: dict[str, Any]) -> Any:
    """The config in a checkpoint, under the present defaults (which may know more keys); its environment wholly."""
    from ilvf.checkpoints.files import find_checkpoint, read_checkpoint

    key, prefer = (
        ("resume", "last") if overrides.get("resume") is not None else ("checkpoint", "best")
    )
    path = find_checkpoint(str(overrides[key]), Path(overrides.get("out", base.out)), prefer)
    overrides[key] = str(path)
    saved: Any = OmegaConf.create(read_checkpoint(path)["ilvf"]["config"])
    base.env = saved.env
    base.seed = saved.seed
    for section in ("algorithm", "trainer"):
        known = [k for k in saved[section] if section in base and k in base[section]]
        base = (
            OmegaConf.merge(base, {section: OmegaConf.masked_copy(saved[section], known)})
            if known
            else base
        )
    return base


# ---------------------------------------------------------------------- keys and values
def _parse(args: Sequence[str]) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for arg in args:
        key, eq, text = arg.partition("=")
        require(bool(eq and key), f"{arg!r} is not of the form key=value; --help lists the keys")
        try:
            overrides[key] = OmegaConf.from_dotlist([f"v={text}"]).get("v") if text else None
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            raise UsageError(f"{arg!r} has a value that cannot be read; quote it") from error
    return overrides


def _flat_to_config(base: DictConfig, overrides: Mapping[str, Any], where: str) -> DictConfig:
    """Check every key and kind against `base` and nest them. Keys may be dotted or nested."""
    known = _leaves(base)
    flat: dict[str, Any] = {}
    for key, value in overrides.items():
        flat.update(
            {f"{key}.{k}": v for k, v in _leaves(value).items()}
            if isinstance(value, DictConfig)
            else {key: value}
        )
    for key, value in flat.items():
        fits = key in known or _is_open(base, key)
        require(
            fits,
            f"unknown key {key!r} ({where}){_nearest(key, list(known))}; --help lists all keys",
        )
        flat[key] = _checked(key, value, known.get(key))
    out = OmegaConf.create()
    for key, value in flat.items():
        OmegaConf.update(out, key, value)
    return out


def _is_open(base: DictConfig, key: str) -> bool:
    """`key` lies in a section of `base` that takes any key."""
    return any(key.startswith(f"{s}.") and OmegaConf.select(base, s) is not None for s in OPEN)


def _leaves(cfg: Any, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in cfg.items():
        leaves.update(
            _leaves(value, f"{prefix}{key}.")
            if isinstance(value, DictConfig)
            else {f"{prefix}{key}": value}
        )
    return leaves


def _checked(key: str, value: Any, default: Any) -> Any:
    """`value`, if it is of the kind of `default` (a whole number passes for a number, anything for null)."""
    if default is None and value is not None and key in NUMBERS:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        require(is_number, f"{key}={value!r} must be a number, or null")
    if default is None or (value is None and key in NULLABLE):
        return value
    if isinstance(default, str) and isinstance(
        value, str | int | float
    ):  # a word that looks like a number or a bool
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    shown = "null" if value is None else repr(value)
    require(
        type(value) is type(default),
        f"{key}={shown} must be {kinds[type(default)]}, like its default {default}",
    )
    return value


def _nearest(key: str, known: Sequence[str]) -> str:
    by_tail = [k for k in known if k.rpartition(".")[2] == key]
    close = by_tail or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


# ---------------------------------------------------------------------- help
def _help(recipe: Path, doc: str, overrides: dict[str, Any]) -> str:
    lines = [doc.strip(), "", "Every argument is key=value:", ""]
    rows = _recipe_rows(recipe)
    if any(key == "env" for key, *_ in rows):
        name = overrides.get("env") or next(v for k, v, _ in rows if k == "env")
        _load(recipe, "env", name)
        rows += _described(_path(recipe, "env", name), "env.")
    width = max(len(f"{k}={v}") for k, v, _ in rows)
    lines += [f"  {f'{k}={v}':<{width}}  {text}" for k, v, text in rows]
    presets = sorted(p.stem for p in _path(recipe, "preset", "x").parent.glob("*.yaml"))
    envs = sorted(p.stem for p in _path(recipe, "env", "x").parent.glob("*.yaml"))
    lines += ["", f"presets: {', '.join(presets)}.  environments: {', '.join(envs)}."]
    lines += ["--cfg prints the resolved config without running; --help this page."]
    return "\n".join(lines)


def _recipe_rows(recipe: Path) -> list[tuple[str, str, str]]:
    """Every key of a recipe, section by section, its own before those of its base."""
    rows = _described(_path(recipe, recipe.stem), "")
    base = next((value for key, value, _ in rows if key == "base"), None)
    if base is None:
        return rows
    own = {key for key, *_ in rows}
    rows += [row for row in _described(_path(recipe, "base", base), "") if row[0] not in own]
    sections = list(dict.fromkeys(_section(key) for key, *_ in rows))
    return sorted(
        (r for r in rows if r[0] != "base"), key=lambda row: sections.index(_section(row[0]))
    )


def _section(key: str) -> str:
    return key.rpartition(".")[0]


def _described(path: Path, prefix: str) -> list[tuple[str, str, str]]:
    """(key, default, meaning) of every line of a two-level yaml."""
    rows, section = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not (match := LINE.match(line)):
            continue
        indent, key, value = match["indent"], match["key"], match["value"].strip()
        if not indent:
            section = f"{key}." if not value else ""
        if value:
            rows.append(
                (f"{prefix}{section}{key}", "" if value == "null" else value, match["help"] or "")
            )
    return rows
