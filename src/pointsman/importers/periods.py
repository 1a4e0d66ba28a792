"""Windows of limits from durations such as `30d`, `1M` or `12h`."""

import re

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w|mo|M|y|Y)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Both gateways begin these at the calendar's units, or can be set to.
_UNITS = {60: "minute", 3600: "hour", 86_400: "day", 604_800: "week", 30 * 86_400: "month"}
_LONGEST_H = 8784

Window = str | dict[str, int]


def window_of(duration: object) -> tuple[Window | None, str]:
    """Return the window of a limit, and a remark if it is another length than the duration. There is no window if the
    text is not a duration."""
    found = _DURATION.fullmatch(str(duration or "").strip())
    if found is None or int(found[1]) == 0:
        return None, f"{duration!r} is not a duration"
    count, unit = int(found[1]), found[2]
    if unit in ("mo", "M"):
        exact = {1: "month", 3: "quarter", 12: "year"}.get(count)
        return (exact, "") if exact else _hours(count * 30 * 86_400, f"{count} months")
    if unit in ("y", "Y"):
        return ("year", "" if count == 1 else f"{count} years are too long for a window: each calendar year")
    seconds = count * _SECONDS[unit]
    if seconds in _UNITS:
        return _UNITS[seconds], ""
    if seconds in (365 * 86_400, 366 * 86_400):
        return "year", ""
    return _hours(seconds, found[0])


def _hours(seconds: int, text: str) -> tuple[Window, str]:
    if seconds < 3600:
        return "minute" if seconds < 1800 else "hour", f"a window of {text} does not exist"
    hours, rest = divmod(seconds, 3600)
    if hours > _LONGEST_H:
        return "year", f"{text} is too long for a window: each calendar year"
    return {"hours": hours}, f"a window of {text} is rounded to hours" if rest else ""
