"""New seeds for the random generators of a running SUMO.

SUMO has no command for it, so its own function is called in the library. This file imports neither
torch nor this package.
"""

import ctypes
from typing import Any

SEED_FUNCTION = "_ZN10RandHelper8initRandEP7SumoRNGbi"  # RandHelper::initRand(rng, random, seed)
OF_LANES = "_ZN6MSLane6myRNGsE"  # a std::vector, by which vehicles on the lanes drive
OTHERS = (
    "_ZN10RandHelper23myRandomNumberGeneratorE",  # everything else
    "_ZN16SUMORouteHandler12myParsingRNGE",  # properties of new vehicles
    "_ZN8MSDevice14myEquipmentRNGE",  # devices of new vehicles
)


def seed_generators(sumo: Any, seed: int) -> None:
    """Seed the generators of lanes, of new vehicles, and the general one.

    Args:
        sumo: the module `libsumo`.
        seed: below 2^31; generator k gets the seed `seed` + k.

    Raises:
        RuntimeError: SUMO is another program, or a version without these generators.
    """
    try:
        function, places = generators_of(sumo)
    except (AttributeError, ValueError, OSError):
        raise RuntimeError(
            "the random numbers of this SUMO cannot be seeded while it runs; "
            "take simulator=libsumo of the version 1.28"
        ) from None
    for k, place in enumerate(places):
        function(place, False, (seed + k) % 2**31)


def generators_of(sumo: Any) -> tuple[Any, list[int]]:
    """SUMO's function, and the addresses of its generators.

    Raises:
        AttributeError, ValueError, OSError: they are not where they should be.
    """
    library = ctypes.CDLL(sumo._libsumo.__file__)
    function = library[SEED_FUNCTION]
    function.argtypes = (ctypes.c_void_p, ctypes.c_bool, ctypes.c_int)
    function.restype = None
    places = [ctypes.addressof(ctypes.c_char.in_dll(library, name)) for name in OTHERS]
    begin, end, _ = (ctypes.c_size_t * 3).in_dll(library, OF_LANES)
    number = int(sumo.simulation.getOption("thread-rngs"))
    size, rest = divmod(end - begin, number)
    if rest or not size:
        raise ValueError("the vector of generators has another form")
    return function, places + [begin + size * k for k in range(number)]
