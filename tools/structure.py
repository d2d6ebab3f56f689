"""Prints the structure of the code as a table, with goals and the figures of version 0.1.

python tools/structure.py              everything; trains for a second to see which files run
python tools/structure.py --no-trace   what can be read from the files alone

Lengths and shares are taken over src/ilvf and recipes, and separately over tests. Lines are all
lines of the files. A function's length is from `def` to its last line, without its docstring.
"""

import argparse
import logging
import statistics
import warnings
from collections.abc import Sequence

import imports
import mentions
import private_names
import shape
from sources import Source, read

PLACES = 5  # how many of the longest functions and files are listed
OPTIONS = {"gamma": ("2", "7*"), "clip": ("1", "7*"), "input_norm": ("1", "14*")}  # → goal, before

Row = tuple[str, str, str, str]  # measure, now, goal, before
HEAD: Row = ("measure", "now", "goal", "before")
NOTE = (
    "* by a wider definition; by the one of this table, version 0.1 has 9 and 5 files and",
    "  9, 2 and 16 places",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-trace", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    code = read("src/ilvf", "recipes")
    tests = read("tests")
    print_section("src/ilvf and recipes", shape_rows(code), shape_details(code))
    print_section("tests", test_rows(tests), shape_details(tests))
    print_section("imports and private names", *dependencies(code, tests))
    print_section("files to touch", *touched(code))
    if not arguments.no_trace:
        print_section("files that run", *executed())


# ---------------------------------------------------------------------- printing
def print_section(title: str, rows: Sequence[Row], details: Sequence[str]) -> None:
    print(f"\n== {title}\n")
    for measure, now, goal, before in (HEAD, *rows):
        print(f"{measure:<52}{now:>14}{goal:>10}{before:>10}")
    if details:
        print()
    for line in details:
        print(line)


def listed(title: str, places: Sequence[object]) -> list[str]:
    """A title and its places, one a line; nothing if there are none."""
    return [f"{title}:", *(f"  {place}" for place in places)] if places else []


def numbered(found: Sequence[shape.Found]) -> list[str]:
    return [f"{number:4d}  {place}" for number, place in found]


# ---------------------------------------------------------------------- shape
def shape_rows(sources: Sequence[Source]) -> list[Row]:
    lines = sum(len(source.lines) for source in sources)
    code = shape.code_line_count(sources)
    packed = len(shape.tuple_assignments(sources))
    dense = len(shape.dense_expressions(sources))
    largest, _ = shape.constructors(sources)[0]
    long = len(shape.long_lines(sources))
    files = len(shape.long_files(sources))
    return [
        ("lines (of them code)", f"{lines} ({code})", "", ""),
        ("function length: median / p90 / max", quantiles(sources), "10/20/40", "5/16/67"),
        ("lines of more than 100 characters", f"{100 * long / lines:.1f} %", "0", "10.4 %"),
        ("tuple assignments per 1000 lines", f"{1e3 * packed / lines:.1f}", "2", "18"),
        ("  per 1000 lines of code, number", per_code_line(packed, code), "", "28, 255"),
        ("comprehensions + conditionals per 1000 lines", f"{1e3 * dense / lines:.1f}", "30", "56"),
        ("  per 1000 lines of code, number", per_code_line(dense, code), "", "84, 780"),
        ("parameters of the largest constructor", f"{largest}", "8", "19"),
        ("files of more than 250 lines", f"{files} of {len(sources)}", "0", "10"),
    ]


def per_code_line(number: int, code: int) -> str:
    return f"{1e3 * number / code:.1f}, {number}"


def test_rows(sources: Sequence[Source]) -> list[Row]:
    """The rows of `shape_rows` without the figures of the code before."""
    return [(measure, now, goal, "") for measure, now, goal, _ in shape_rows(sources)]


def by_file(found: Sequence[shape.Found]) -> list[str]:
    """`file: line, line, ...` for each file."""
    lines: dict[str, list[str]] = {}
    for _, place in found:
        name, _, number = place.rpartition(":")
        lines.setdefault(name, []).append(number)
    return [f"{name}: {', '.join(numbers)}" for name, numbers in lines.items()]


def quantiles(sources: Sequence[Source]) -> str:
    lengths = sorted(length for length, _ in shape.function_lengths(sources))
    ninth = lengths[int(0.9 * len(lengths))]
    return f"{statistics.median(lengths):.0f}/{ninth}/{lengths[-1]}"


def shape_details(sources: Sequence[Source]) -> list[str]:
    large = [c for c in shape.constructors(sources) if c[0] > shape.PARAMETERS]
    full = shape.definitions_per_file(sources)
    return [
        *listed("longest functions", numbered(shape.function_lengths(sources)[:PLACES])),
        *listed("lines of more than 100 characters", by_file(shape.long_lines(sources))),
        *listed("constructors of more than 8 parameters", numbered(large)),
        *listed("files of more than 250 lines", numbered(shape.long_files(sources))),
        *listed("most definitions in a file (classes + functions)", numbered(full[:PLACES])),
    ]


# ---------------------------------------------------------------------- dependencies
def dependencies(code: Sequence[Source], tests: Sequence[Source]) -> tuple[list[Row], list[str]]:
    modules = imports.modules_of(code)
    arrows = imports.arrows(modules)
    cycles = [" -> ".join(group) for group in imports.cycles(arrows)]
    parts = imports.cycles(imports.between_parts(arrows))
    circles = [" -> ".join(group) for group in parts]
    upward = imports.upward(arrows)
    private = private_names.across_files(code)
    in_tests = private_names.across_files_in_tests(tests)
    rows = [
        ("modules, imports between them", f"{len(modules)}, {len(arrows)}", "", ""),
        ("import cycles", str(len(cycles)), "0", "2"),
        ("import cycles between folders", str(len(circles)), "0", ""),
        ("imports of higher layers", str(len(upward)), "0", ""),
        ("private names of other files", str(len(private)), "0", "12"),
        ("private names that tests import", str(len(in_tests)), "0", "3"),
    ]
    details = [
        *listed("import cycles", cycles),
        *listed("import cycles between folders", circles),
        *listed("imports of higher layers", upward),
        *listed("private names of other files", private),
        *listed("private names that tests import", in_tests),
    ]
    return rows, details


# ---------------------------------------------------------------------- files to touch
def touched(code: Sequence[Source]) -> tuple[list[Row], list[str]]:
    algorithm = mentions.files_of(mentions.COMA)
    environment = mentions.files_of(mentions.CACC)
    rows: list[Row] = [
        ("files to add an algorithm (coma)", str(len(algorithm)), "4", "13-15*"),
        (
            "files to add an environment (cacc), without its folder",
            str(len(environment)),
            "3",
            "9*",
        ),
    ]
    details = [
        *NOTE,
        *listed("files that mention coma", algorithm),
        *listed("files that mention cacc, without its own folder", environment),
    ]
    for name, (goal, before) in OPTIONS.items():
        places = mentions.default_places(name, code)
        rows.append((f"places with the default of {name}", str(len(places)), goal, before))
        details += listed(f"defaults of {name}", places)
    return rows, details


def executed() -> tuple[list[Row], list[str]]:
    from gradient_step import trace

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    step, iteration = trace()
    counted = [name for name in step if name not in ("errors.py", "modules/checks.py")]
    rows = [
        ("files of a gradient step, without errors.py", str(len(counted)), "9", "10"),
        ("files of an iteration, without envs", str(len(iteration)), "", "19"),
    ]
    details = [
        *listed("files of a gradient step", counted),
        *listed("files of an iteration", iteration),
    ]
    return rows, details


if __name__ == "__main__":
    main()
