"""Durations as commands take them."""

import typer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_in(text: str | None, option: str = "--for") -> float | None:
    """Return a duration such as `90s`, `15m`, `1h` or `2d` in seconds."""
    if text is None:
        return None
    unit = _UNITS.get(text[-1:])
    try:
        seconds = float(text[:-1]) * unit if unit is not None else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a duration; write 90s, 15m, 1h or 2d", param_hint=option)
    return seconds
