"""Makes the pictures of docs/gallery.md, by the commands that the page shows; some minutes.

python tools/gallery.py            all pictures, into docs/images/gallery
python tools/gallery.py city grid  those of some entries
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "gallery"
COLOURS = 256  # of a picture
WIDEST = 1100  # [pixels]
MOST = 1_500_000  # bytes of all pictures


@dataclass(frozen=True)
class Entry:
    """Pictures that some commands make.

    Attributes:
        commands: as the page shows them; `RUN` is the newest run below runs/.
        made: pattern of each file that they make → its name in the gallery.
    """

    commands: tuple[str, ...]
    made: dict[str, str]


ENTRIES = {
    "encircle": Entry(
        (
            "ilvf train ilvf_p",
            "ilvf evaluate checkpoint=RUN",
            "ilvf influence checkpoint=RUN influence.measure=false",
        ),
        {
            "runs/ilvf_p-encircle-*/checkpoints/best-episode.gif": "encircle.gif",
            "runs/ilvf_p-encircle-*/influence/matrices.png": "influence.png",
        },
    ),
    "platoon": Entry(
        ("ilvf evaluate policy=linear env=cacc env.scenario=slow-down",),
        {"runs/linear-cacc-episode.gif": "platoon.gif"},
    ),
    "predators": Entry(
        ("ilvf evaluate policy=seek env=capture_prey",),
        {"runs/seek-capture_prey-episode.gif": "predators.gif"},
    ),
    "robots": Entry(
        ("ilvf evaluate policy=random env=vmas env.task=balance",),
        {"runs/random-vmas-episode.gif": "robots.gif"},
    ),
    "city": Entry(
        (
            "netgenerate --rand --rand.iterations 60 --seed 11 -L 2 --tls.guess "
            "--tls.guess.threshold 20 -o city.net.xml",
            "python -m ilvf.envs.traffic.network city.net.xml --map city.png",
        ),
        {"city.png": "city.png"},
    ),
    "grid": Entry(
        (
            "ilvf evaluate policy=max_pressure env=large_grid env.seconds=900 "
            "algorithm.eval_episodes=1",
        ),
        {"runs/max_pressure-large_grid-episode.gif": "grid.gif"},
    ),
    "traffic": Entry(
        (
            "ilvf train ilvf_p env=large_grid preset=traffic env.seconds=600 "
            "algorithm.rollout_steps=120 algorithm.num_envs=2 trainer.max_epochs=2",
            "ilvf traffic checkpoint=RUN traffic.episodes=1 traffic.deterministic=false "
            "traffic.against=max_pressure,fixed_cycle",
        ),
        {
            "runs/ilvf_p-large_grid-*/traffic/map.png": "queues.png",
            "runs/ilvf_p-large_grid-*/traffic/queues.gif": "queues.gif",
            "runs/ilvf_p-large_grid-*/traffic/influence.png": "arrows.png",
        },
    ),
}


def main() -> None:
    names = sys.argv[1:] or list(ENTRIES)
    unknown = set(names) - set(ENTRIES)
    if unknown:
        sys.exit(f"unknown {', '.join(sorted(unknown))}; choose from {', '.join(ENTRIES)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            make(ENTRIES[name], Path(folder))
    size = sum(file.stat().st_size for file in PICTURES.iterdir())
    print(f"{size / 1e6:.2f} MB in {PICTURES}")
    if size > MOST:
        sys.exit(f"more than {MOST / 1e6:.1f} MB: make pictures smaller")


def make(entry: Entry, folder: Path) -> None:
    """Run the commands of an entry in a folder, and keep its pictures."""
    for command in entry.commands:
        print(command, flush=True)
        subprocess.run(words_of(command, folder), cwd=folder, check=True)
    for pattern, name in entry.made.items():
        (picture,) = folder.glob(pattern)
        keep(picture, PICTURES / name)


def words_of(command: str, folder: Path) -> list[str]:
    """The words of a command, with this Python and the newest run."""
    first, *others = command.split()
    starts = {"ilvf": [sys.executable, "-m", "ilvf"], "python": [sys.executable]}
    runs = sorted(folder.glob("runs/*-s0-*"), key=lambda run: run.stat().st_ctime)
    newest = str(runs[-1]) if runs else ""
    program = starts.get(first) or [shutil.which(first, path=programs()) or first]
    return [*program, *(word.replace("RUN", newest) for word in others)]


def programs() -> str:
    """Where programs are looked for: beside this Python, and SUMO's."""
    import sumolib

    beside = str(Path(sys.executable).parent)
    return f"{beside}:{Path(sumolib.checkBinary('netgenerate')).parent}"


def keep(source: Path, target: Path) -> None:
    """Copy a GIF; copy a picture with fewer pixels and colours."""
    if source.suffix == ".gif":
        shutil.copy(source, target)
        return
    with Image.open(source) as image:
        image = image.convert("RGB")
        image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
