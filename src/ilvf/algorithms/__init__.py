"""Algorithms: LightningModules that drive TorchRL collectors, one file each.

Each declared algorithm's class (`ilvf.algorithms.options`) can be imported from here.
"""

from ilvf.algorithms.options import CLASSES
from ilvf.lazy import lazily, listing

__getattr__ = lazily(__name__, {home: [name] for name, home in CLASSES.items()})

__dir__ = listing(list(CLASSES))
