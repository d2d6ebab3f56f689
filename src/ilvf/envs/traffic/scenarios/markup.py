"""SUMO's input files as text."""

from xml.sax.saxutils import quoteattr


def element(tag: str, *children: str, **attributes: object) -> str:
    """One XML element. `from_` is the attribute `from`."""
    words = [f" {name.rstrip('_')}={quoteattr(str(v))}" for name, v in attributes.items()]
    opening = f"{tag}{''.join(words)}"
    if not children:
        return f"<{opening}/>"
    lines = [f"  {line}\n" for child in children for line in child.splitlines()]
    return f"<{opening}>\n{''.join(lines)}</{tag}>"


def flow(interval: int, number: int, seconds: int, rate: int, **attributes: object) -> str:
    """A flow of vehicles, with the id `f{interval}_{number}`, that departs at free positions.

    Args:
        interval: number of the interval in which the flow departs.
        number: of the flow in its interval.
        seconds: length of an interval [s].
        rate: [vehicles/h].
        **attributes: type and route.
    """
    return element(
        "flow",
        id=f"f{interval}_{number}",
        **attributes,
        departPos="random_free",
        begin=seconds * interval,
        end=seconds * (interval + 1),
        vehsPerHour=rate,
    )
