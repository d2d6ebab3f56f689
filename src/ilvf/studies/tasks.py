"""Ready-made tasks, which studies name: `configs/task/NAME.yaml`.

tasks: [encircle-10, slow-down, {use: predators, frames: 1000}]
"""

from collections.abc import Mapping
from typing import Any

from ilvf.errors import require
from ilvf.experiment.config import overlay_of
from ilvf.experiment.schema import flatten
from ilvf.options import shown

USE = "use"  # key of a task's entry that names a ready-made task


def task_content(item: Any) -> dict[str, Any]:
    """The options of a task that a study describes or names, with flat config keys.

    Args:
        item: a mapping of options, a name, or a mapping with `use: NAME` and what differs.

    Raises:
        UsageError: the item is none of these, or no ready-made task has the name.
    """
    changes = entry_content({USE: item} if isinstance(item, str) else item)
    if USE not in changes:
        return changes
    name = changes.pop(USE)
    require(isinstance(name, str), f"use={shown(name)} must be the name of a task")
    content = {"name": name, **entry_content(overlay_of("task", name))}
    if isinstance(changes.get("keys"), Mapping):
        changes["keys"] = {**content.get("keys", {}), **changes["keys"]}
    return {**content, **changes}


def entry_content(item: Any) -> dict[str, Any]:
    """The options of an entry of a study, with nested `keys` joined by dots.

    Raises:
        UsageError: the item is no mapping.
    """
    require(isinstance(item, Mapping), f"it is not a mapping, found {shown(item)}")
    content = dict(item)
    if isinstance(content.get("keys"), Mapping):
        content["keys"] = flatten(content["keys"])
    return content
