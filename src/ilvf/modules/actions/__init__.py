"""What agents can do: `Choices`, `MultiChoices`, or a `Box`.

| class | an agent's action | its vector of A numbers |
|---|---|---|
| `Choices` | one index | one-hot |
| `MultiChoices` | D indices at once | D one-hots side by side |
| `Box` | A numbers between bounds | the numbers, scaled to −1 to 1 |

Environments, actors, critics and the audit read the same classes. Networks read the vectors.
"""

from ilvf.modules.actions.base import Actions
from ilvf.modules.actions.box import Box
from ilvf.modules.actions.choices import Choices, as_actions, choices_of, entries_of
from ilvf.modules.actions.multi import MultiChoices
from ilvf.modules.actions.specs import actions_of, actions_of_arguments, actions_of_spec

__all__ = [
    "Actions",
    "Box",
    "Choices",
    "MultiChoices",
    "actions_of",
    "actions_of_arguments",
    "actions_of_spec",
    "as_actions",
    "choices_of",
    "entries_of",
]
