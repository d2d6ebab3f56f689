"""What every environment can be told; imports nothing heavy.

An environment is declared once, by `@environment(NAME, "module:function")` on the dataclass of its
options. `make_env`, the command line, the contract tests and the documentation find it there.
"""

from ilvf.envs.options.built_in import (
    CACCOptions,
    CapturePreyOptions,
    EncircleOptions,
    TabularOptions,
)
from ilvf.envs.options.registry import (
    ENVIRONMENTS,
    Declaration,
    classes,
    declaration_of,
    environment,
)
from ilvf.envs.options.suites import (
    GYMNASIUM_PACKAGES,
    KNOWN_PACKAGES,
    GymnasiumOptions,
    PettingZooOptions,
    StepperOptions,
    VmasOptions,
    is_known_name,
    is_known_task,
)
from ilvf.envs.options.traffic import (
    TRAFFIC,
    CopyOptions,
    LargeGridOptions,
    MonacoOptions,
    ReadingOptions,
    SignalOptions,
    SumoOptions,
)
from ilvf.envs.options.users_own import (
    OWN,
    OwnOptions,
    expanded,
    is_registered_task,
)

__all__ = [
    "ENVIRONMENTS",
    "GYMNASIUM_PACKAGES",
    "KNOWN_PACKAGES",
    "OWN",
    "TRAFFIC",
    "CACCOptions",
    "CapturePreyOptions",
    "CopyOptions",
    "Declaration",
    "EncircleOptions",
    "GymnasiumOptions",
    "LargeGridOptions",
    "MonacoOptions",
    "OwnOptions",
    "PettingZooOptions",
    "ReadingOptions",
    "SignalOptions",
    "StepperOptions",
    "SumoOptions",
    "TabularOptions",
    "VmasOptions",
    "classes",
    "declaration_of",
    "environment",
    "expanded",
    "is_known_name",
    "is_known_task",
    "is_registered_task",
]
