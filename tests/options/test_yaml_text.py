"""Yaml in files and arguments: data of limited size, which means what it seems to mean."""

import pytest

from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.options import parse_yaml

LAUGHS = "a: &a [1, 1]\n" + "".join(
    f"{later}: &{later} [{', '.join([f'*{name}'] * 9)}]\n"
    for name, later in zip("abcdefghi", "bcdefghij", strict=True)
)
REFUSED = {
    "deep lists": ("[" * 50_000, "nested"),
    "deep mappings": ("{a: " * 20_000, "nested"),
    "deep blocks": ("- " * 20_000, "nested"),
    "an anchor that contains itself": ("a: &a [*a]", "*a"),
    "a mapping that contains itself": ("&a {algorithm: *a}", "*a"),
    "billions of values": (LAUGHS, "*a"),
    "5000 digits": ("a: " + "9" * 5000, "5000 digits"),
    "5000 hexadecimal digits": ("a: 0x" + "f" * 5000, "5002 digits"),
    "octal": ("a: 010", "010 is octal"),
    "base 60": ("a: 12:30", "12:30 is octal or of base 60"),
    "base 60 with a fraction": ("a: 1:30.5", "1:30.5"),
    "NUL": ("a: 3\0", "#x0000"),
    "a control character": ("a: \x01", "#x0001"),
    "a key twice": ("a: 1\na: 2", "duplicate key a, in line 2"),
    "a tag of Python": ("a: !!python/object/apply:os.getcwd []", "python/object"),
    "a tag with a wrong value": ("a: !!timestamp x", "timestamp"),
    "another tag with a wrong value": ("a: !!bool x", "bool"),
    "bytes": ("a: !!binary aGVsbG8=", "binary"),
    "a key that is null": ("a: {null: 1}", "key"),
    "a key that is a list": ("a: {[1]: 1}", "unhashable"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
    "an interpolation": ("a: ${oc.env:HOME}", "not allowed"),
    "an interpolation that is cut": ("a: ${oc", "not allowed"),
    "too many characters": ("a: " + "x" * 200_000, "100000 characters"),
    "too many values": ("a: [" + "1, " * 10_500 + "1]", "exceeds"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_yaml_that_could_hang_or_mislead_is_refused(what, tmp_path, refused):
    text, words = REFUSED[what]
    with refused("env.kwargs=", "cannot be read", words):
        parse_yaml("env.kwargs", text)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with refused("mine.yaml is no yaml file", words):
        resolve(training_schema("ilvf_p"), [f"preset={path}"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: [1, {b: true}]}", {"a": [1, {"b": True}]}),
        ("1e-4", 1e-4),
        ("0x10", 16),
        ("-5", -5),
        ("0.5", 0.5),
        ("0", 0),
        ("'010'", "010"),
        ("'12:30'", "12:30"),
        ("2024-13-45", "2024-13-45"),
        ("null", None),
        ("", None),
    ],
)
def test_plain_values_are_read(text, value):
    found = parse_yaml("key", text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfea: 1", "not UTF-8"),
        (b"x" * 2_000_000, "1000000 bytes"),
        (b"", "not a mapping"),
        (b"[1, 2]", "not a mapping"),
        (b"name: [encircle]", "name of a known environment"),
    ],
)
def test_a_file_that_is_no_config(content, words, tmp_path, refused):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with refused("mine.yaml", words):
        resolve(training_schema("ilvf_p"), [f"env={path}"])


@pytest.mark.parametrize("kind", ["env", "preset"])
def test_a_folder_or_a_device_is_no_yaml_file(kind, tmp_path, refused):
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    device = tmp_path / "device.yaml"
    device.symlink_to("/dev/zero")
    for path in (folder, device):
        with refused(str(path), "not known"):
            resolve(training_schema("ilvf_p"), [f"{kind}={path}"])


def test_a_yaml_file_that_may_not_be_read(tmp_path, refused, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.touch()

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    with refused("mine.yaml cannot be read", "Permission denied"):
        resolve(training_schema("ilvf_p"), [f"preset={path}"])


def test_a_key_below_a_value_that_is_no_mapping(refused):
    arguments = ["env=pettingzoo", "env.kwargs.a=3", "env.kwargs.a.b=4"]
    with refused("env.kwargs.a.b", "not a mapping"):
        resolve(training_schema("ilvf_p"), arguments)


@pytest.mark.parametrize("argument", ["out=???", "env.kwargs.a='???'", "env.kwargs={a: '???'}"])
def test_a_missing_value_of_omegaconf_is_refused(argument, refused):
    with refused("???", "not allowed"):
        resolve(training_schema("ilvf_p"), ["env=pettingzoo", argument])
