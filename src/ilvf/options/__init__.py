"""Typed options: a dataclass field is the one place of a default, type, bounds and meaning.

    @dataclass
    class PPOOptions(Options):
        clip: float = option(0.2, "ε of the clipped surrogate", above=0)

Constructors, the command line, `--help`, yaml files and checkpoints all read these declarations.
This package imports nothing heavy, so that `--help` is instant.
"""

from ilvf.options.checks import (
    alternatives,
    bounds_in_words,
    checked,
    describe,
    require_usable_path,
    words_of,
)
from ilvf.options.declaration import Options, configure, option, select, types_of
from ilvf.options.text import parse, parse_yaml, text_of, yaml_text_of
from ilvf.options.words import nearest, one_line, short_names, shown
from ilvf.options.yaml_text import read_yaml

__all__ = [
    "Options",
    "alternatives",
    "bounds_in_words",
    "checked",
    "configure",
    "describe",
    "nearest",
    "one_line",
    "option",
    "parse",
    "parse_yaml",
    "read_yaml",
    "require_usable_path",
    "select",
    "short_names",
    "shown",
    "text_of",
    "types_of",
    "words_of",
    "yaml_text_of",
]
