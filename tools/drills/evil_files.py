"""Files that try to run code or to write a file, the victim."""

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from drills.recorded import checkpoint


class Opener:
    """Unpickling it creates a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


class Command:
    """Unpickling it runs a command of the shell."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


Writer = Callable[[Path, Path, Path], None]  # (good run, new file, victim) → writes the file


# ---------------------------------------------------------------------- pickles
def whole_pickle(run: Path, path: Path, victim: Path) -> None:
    """Nothing but a pickle, in the format of `torch.save`."""
    torch.save(Opener(victim), path)


def bare_pickle(run: Path, path: Path, victim: Path) -> None:
    """A file of the module pickle."""
    path.write_bytes(pickle.dumps(Command(victim)))


def legacy_pickle(run: Path, path: Path, victim: Path) -> None:
    """The format of `torch.save` before version 1.6."""
    torch.save({"ilvf": Command(victim)}, path, _use_new_zipfile_serialization=False)


def script(run: Path, path: Path, victim: Path) -> None:
    """A TorchScript archive whose constants are a pickle."""
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(path))
    replace_record(path, "constants.pkl", pickle.dumps(Opener(victim)))


def appended_record(run: Path, path: Path, victim: Path) -> None:
    """A good checkpoint whose zip file has records outside its folder."""
    shutil.copy(run / "checkpoints" / "last.ckpt", path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"../../../{victim.name}", b"written")
        file.writestr(str(victim), b"written")


def replaced_pickle(run: Path, path: Path, victim: Path) -> None:
    """A good checkpoint whose data.pkl is another pickle."""
    shutil.copy(run / "checkpoints" / "last.ckpt", path)
    replace_record(path, "data.pkl", pickle.dumps(Opener(victim), protocol=2))


def replace_record(path: Path, name: str, data: bytes) -> None:
    """Replace the record of a zip file whose name ends in `name`."""
    written = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(written, "w") as new:
        for record in old.infolist():
            content = data if record.filename.endswith(name) else old.read(record)
            new.writestr(record.filename, content)
    path.write_bytes(written.getvalue())


def inside(entry: str) -> Writer:
    """A good checkpoint with a pickle at a dotted entry."""

    def write(run: Path, path: Path, victim: Path) -> None:
        torch.save(changed(run, entry, Opener(victim)), path)

    return write


# ---------------------------------------------------------------------- valid checkpoints
def changed(run: Path, entry: str, value: Any) -> dict[str, Any]:
    """The content of a run's checkpoint, with another value at a dotted entry."""
    content = checkpoint(run)
    *path, last = entry.split(".")
    inner: Any = content
    for name in path:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[int(last) if isinstance(inner, list) else last] = value
    return content


def entry(name: str, value: Any) -> Writer:
    """A good checkpoint with another entry; `{victim}` in words is the victim's path."""

    def write(run: Path, path: Path, victim: Path) -> None:
        torch.save(changed(run, name, filled(value, victim)), path)

    return write


def filled(value: Any, victim: Path) -> Any:
    """`value`, with the victim's path in its words."""
    if isinstance(value, str):
        return value.replace("{victim}", str(victim))
    if isinstance(value, dict):
        return {key: filled(inner, victim) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, victim) for inner in value]
    return value


def task(name: str, **arguments: Any) -> Writer:
    """A checkpoint whose environment is a function of another module."""
    return entry("ilvf.config.env", {"name": "pettingzoo", "task": name, "kwargs": arguments})


def sumo(**options: Any) -> Writer:
    """A checkpoint whose simulator would write a file."""
    files = {"net_file": "a.net.xml", "routes": "a.rou.xml"}
    return entry("ilvf.config.env", {"name": "sumo", **files, **options})


def tags(victim: Path) -> Iterator[str]:
    """Yaml that would run code if its tags were obeyed."""
    yield f'name: !!python/object/apply:os.system ["touch {victim}"]\n'
    yield f'!!python/object/apply:pathlib.Path.touch ["{victim}"]\n'
    yield f'env: {{n_agents: !!python/object/new:os.system ["touch {victim}"]}}\n'
    yield f"name: !!python/module:{victim.stem}\n"
    yield "algorithm: {lr: '${oc.env:HOME}'}\nname: encircle\ngame: '${oc.env:HOME}'\n"


PICKLES: Mapping[str, Writer] = {
    "a pickle by torch.save": whole_pickle,
    "a bare pickle": bare_pickle,
    "a pickle in the legacy format": legacy_pickle,
    "a TorchScript archive": script,
    "a replaced data.pkl": replaced_pickle,
    "a pickle in optimizer_states": inside("optimizer_states"),
    "a pickle in callbacks": inside("callbacks"),
    "a pickle in the generators": inside("ilvf.state.ranks.0.generators.python"),
    "a pickle in the config": inside("ilvf.config.seed"),
}
CHOICES: Mapping[str, Writer] = {  # of code or files, by a valid checkpoint
    "env.task=os:system": task("os:system", command="touch {victim}"),
    "env.task=builtins:open": task("builtins:open", file="{victim}", mode="w"),
    "env.task=mpe2...:os.system": task("mpe2.simple_spread_v3:os.system", command="touch {victim}"),
    "env.task=pettingzoo.utils.os": task("pettingzoo.utils.env:os.system"),
    "env.options": sumo(options="--summary-output {victim}"),
    "env.tripinfo": sumo(tripinfo="{victim}"),
    "env.additional": sumo(additional="{victim}"),
    "env.options as a list": sumo(options=["--log", "{victim}"]),
    "an interpolation": entry("ilvf.config.env", {"name": "tabular", "game": "${oc.env:HOME}"}),
}
HARMLESS: Mapping[str, Writer] = {  # what they name is not used; the command may work
    "zip records outside the file": appended_record,
    "config.out": entry("ilvf.config.out", "{victim}"),
    "config.seeds": entry("ilvf.config.seeds", "0-3"),
    "config.preset": entry("ilvf.config.preset", "{victim}.yaml"),
    "config.recipe=os": entry("ilvf.config.recipe", "os"),
    "config.recipe=../os": entry("ilvf.config.recipe", "../os"),
    "the MLflow run's id is a path": entry("ilvf.run", "../../{victim}"),
    "the MLflow run's id is a number": entry("ilvf.run", 5),
    "the kind of the actor": entry("ilvf.actor.kind", "os.system"),
}
