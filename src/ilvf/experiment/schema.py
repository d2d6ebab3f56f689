"""What a command's config consists of: sections of typed options, flattened to dotted keys."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ilvf.algorithms.options import ALGORITHMS
from ilvf.envs.options import declaration_of
from ilvf.errors import UsageError, require
from ilvf.options import (
    Options,
    bounds_in_words,
    checked,
    describe,
    nearest,
    one_line,
    parse,
    shown,
    text_of,
    types_of,
    words_of,
    yaml_text_of,
)
from ilvf.options import alternatives as alternatives_of


@dataclass(frozen=True)
class Leaf:
    """One key of a config.

    Attributes:
        key: dotted, "algorithm.lr".
        kind: its type.
        default: its value if nobody sets it.
        metadata: meaning and bounds, see `option`.
    """

    key: str
    kind: Any
    default: Any
    metadata: Mapping[str, Any]

    @property
    def is_open(self) -> bool:
        """The key holds a mapping that takes any key, passed on to foreign code."""
        return (typing.get_origin(self.kind) or self.kind) is dict

    def parsed(self, text: str) -> Any:
        """The value of a command line's text."""
        return self.checked(parse(self.key, text, self.kind))

    def checked(self, value: Any) -> Any:
        """`value`, if its type and bounds are right."""
        require_literal(self.key, value)
        return checked(self.key, value, self.kind, self.metadata)

    def require_confirmed(self, value: Any, where: str) -> None:
        """Raise if a value must be given again by the user.

        Args:
            where: the file that has it, for the message.
        """
        effect = self.effect_of(value)
        require(
            not effect,
            f"{where} has {self.key}={shown(value)}, which {effect}; "
            f"if you trust it, give {self.key}=... again on the command line",
        )

    def effect_of(self, value: Any) -> str:
        """What a value can do to the user's machine, such as "imports code"; empty if nothing."""
        harmless = self.metadata.get("harmless") or (lambda _: False)
        if value == self.default or harmless(value):
            return ""
        return self.metadata.get("confirm") or ""

    @property
    def allowed(self) -> str:
        """Type and bounds in words, for the documentation."""
        words = words_of(alternatives_of(self.kind))
        if words:
            return ", ".join(words)
        bounds = [self.metadata.get(k) for k in ("above", "least", "below", "most")]
        if all(bound is None for bound in bounds):
            return describe(self.kind)
        return f"{describe(self.kind)}, {bounds_in_words(*bounds)}"


@dataclass
class Schema:
    """The config of a command.

    Attributes:
        name: of the recipe or command.
        doc: what it does, for `--help`.
        keys: options without a section, such as `seed`.
        sections: name → option dataclass.
        env: name of the default environment; None for a command without one.
        defaults: dotted key → default that differs from the dataclass's.
    """

    name: str
    doc: str
    keys: type[Options]
    sections: dict[str, type[Options]] = field(default_factory=dict)
    env: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)

    def leaves(self, env: str | None) -> dict[str, Leaf]:
        """All keys, with those of the environment `env`."""
        leaves = dict(self._leaves_of("", self.keys))
        if env is not None:
            leaves |= self._leaves_of("env.", declaration_of(env).options)
        for section, options in self.sections.items():
            leaves |= self._leaves_of(f"{section}.", options)
        return leaves

    def _leaves_of(self, prefix: str, options: type[Options]) -> dict[str, Leaf]:
        hints = types_of(options)
        leaves = {}
        for item in fields_by_class(options):
            key = prefix + item.name
            default = self.defaults.get(key, default_of(item))
            leaves[key] = Leaf(key, hints[item.name], default, item.metadata)
        return leaves

    def structured(self, values: Mapping[str, Any], env: str | None) -> DictConfig:
        """An OmegaConf structured config of flat `values`, with one dataclass per section."""
        sections: dict[str, Any] = {"": self.keys}
        if env is not None:
            sections["env"] = declaration_of(env).options
        sections |= self.sections
        config: dict[str, Any] = {"recipe": self.name}
        for section, options in sections.items():
            prefix = f"{section}." if section else ""
            instance = made(options, prefix, values)
            if not section:
                config |= vars(instance)
            elif section == "env":
                config["env"] = {"name": env, **vars(instance)}
            elif section in config:  # as with env: `engine=NAME` beside `engine.KEY=VALUE`
                config[section] = {"name": config[section], **vars(instance)}
            else:
                config[section] = OmegaConf.structured(instance)
        return OmegaConf.create(config)


def made(options: type[Options], prefix: str, values: Mapping[str, Any]) -> Options:
    """The options of a section; an error names its key with the section."""
    names = [item.name for item in dataclasses.fields(options)]
    try:
        return options(**{name: values[prefix + name] for name in names})
    except UsageError as error:
        sentence = str(error)
        named = sentence.partition("=")[0] in names
        raise UsageError(f"{prefix}{sentence}" if named else sentence) from error


def require_literal(key: str, value: Any) -> None:
    """Raise if OmegaConf would not take a word literally.

    `${...}` is an interpolation, and `???` a missing value.
    """
    if isinstance(value, str):
        require(
            "${" not in value and value != "???",
            f"{one_line(key)}={shown(value)} is not allowed here; write it without '${{' and '???'",
        )
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            require_literal(f"{key}.{name}", name)
            require_literal(f"{key}.{name}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            require_literal(key, inner)


def fields_by_class(options: type[Options]) -> Iterator[dataclasses.Field]:
    """The fields of a dataclass: those that a class itself declares before those of its bases."""
    fields = {item.name: item for item in dataclasses.fields(options)}
    for cls in options.__mro__:
        for name in vars(cls).get("__annotations__", {}):
            if name in fields:
                yield fields.pop(name)


def default_of(item: dataclasses.Field) -> Any:
    """The default of a dataclass field."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def require_known(key: str, leaves: Mapping[str, Leaf], where: str) -> Leaf:
    """The leaf of `key`, or of the open mapping that it lies in."""
    if key in leaves:
        return leaves[key]
    for leaf in leaves.values():
        if leaf.is_open and key.startswith(f"{leaf.key}."):
            return leaf
    advice = of_other_algorithms(key) or nearest(key, list(leaves))
    raise UsageError(f"unknown key {shown(key)} ({where}){advice}; --help lists all keys")


def word_of(key: str, value: Any) -> str:
    """`KEY=VALUE` that a command reads as this value.

    A key is SECTION.NAME; a longer one lies in an open mapping, whose entries are read as yaml.
    """
    in_open_mapping = key.count(".") > 1
    return f"{key}={yaml_text_of(value) if in_open_mapping else text_of(value)}"


def of_other_algorithms(key: str) -> str:
    """ ", which is an option of ilvf_s", or nothing if no algorithm has this key."""
    section, _, name = key.partition(".")
    owners = [owner for owner, options in ALGORITHMS.items() if has_field(options, name)]
    if section != "algorithm" or not owners:
        return ""
    return f", which is an option of {', '.join(owners)}"


def has_field(options: type[Options], name: str) -> bool:
    """Does an option dataclass have this field?"""
    return any(item.name == name for item in dataclasses.fields(options))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def require_mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Raise unless `value` is a mapping."""
    require(isinstance(value, Mapping), f"{what} is not a mapping, found {shown(value)}")
    return value
