"""Writes an episode as a GIF: the still parts of a figure are drawn once, the others in each frame.

What moves is drawn onto a copy of the rest, so that a frame takes some milliseconds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

MOST_FRAMES = 60  # of longer episodes every second, third, ... step is shown
DPI = 80
COLOURS = 64  # of all frames
SECONDS = 7.0  # that a GIF takes, unless its frames would be shown longer than `LONGEST`
SHORTEST = 60  # [ms] of a frame
LONGEST = 250  # [ms]
PAUSE = 1500  # [ms], of the last frame


class Scene(Protocol):
    """A figure of one episode that can show any step of it.

    Attributes:
        figure: of matplotlib.
        moving: artists that change from step to step.
    """

    figure: Any
    moving: list[Any]

    def show(self, t: int) -> None:
        """Show step t."""


def write_gif(scene: Scene, last: int, path: Path | str) -> None:
    """Write steps 0 to `last` of a scene as a GIF, evenly spaced if there are more than 60.

    Args:
        scene: what is shown.
        last: number of the last step.
        path: of the GIF.
    """
    frames = list(images(scene, frame_steps(last)))
    length = min(LONGEST, max(SHORTEST, int(1000 * SECONDS / len(frames))))
    durations = [length] * (len(frames) - 1) + [PAUSE]
    options = {"append_images": frames[1:], "duration": durations, "loop": 0, "optimize": True}
    frames[0].save(path, format="GIF", save_all=True, **options)


def frame_steps(last: int) -> list[int]:
    """The steps that are shown; the first and the last are among them."""
    count = min(last + 1, MOST_FRAMES)
    return [round(last * k / max(count - 1, 1)) for k in range(count)]


def images(scene: Scene, steps: Sequence[int]) -> list[Any]:
    """A picture of every step, all with the colours of the last one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    scene.figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(scene.figure)
    scene.show(steps[-1])  # the layout leaves room for it
    canvas.draw()
    scene.figure.set_layout_engine("none")
    for artist in scene.moving:
        artist.set_visible(False)
    canvas.draw()
    still = canvas.copy_from_bbox(scene.figure.bbox)
    for artist in scene.moving:
        artist.set_visible(True)
    renderer = canvas.get_renderer()
    found = []
    for t in steps:
        canvas.restore_region(still)
        scene.show(t)
        for artist in sorted(scene.moving, key=lambda artist: artist.get_zorder()):
            artist.draw(renderer)
        size = canvas.get_width_height()
        found.append(Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB"))
    method = Image.Quantize.MAXCOVERAGE  # also colours of few pixels
    colours = found[-1].quantize(COLOURS, method, dither=Image.Dither.NONE)
    return [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in found]
