"""A provider runs no tool and fetches no address under a requirement, unless the virtual key allows it.

A tool such as `web_search` or an MCP server receives parts of the prompt, and routing has no influence on its place.
The list `provider_tools` of a virtual key holds without a requirement too.
"""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from pointsman.domain.calls import Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View
from pointsman.wire.ways_out import WayOut, is_allowed, ways_out_of


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    key = facts.virtual_key
    allowed = _allowed(item, key)
    if allowed is None:
        return None
    denied = [way for way in ways_out_of(facts.call) if not is_allowed(way, allowed)]
    denied += [way for way in _own_tools(item) if not is_allowed(way, allowed)]
    if not denied:
        return None
    ways = ", ".join(dict.fromkeys(_named(way) for way in denied))
    cause = (
        f"virtual key {key.name} does not allow it"
        if key is not None and key.provider_tools is not None
        else f"{item.require[0]} is required by {item.require[0].origin}, and then a virtual key must allow it"
    )
    message = f"the request uses {ways}, by which content may leave {item.endpoint.name}; {cause} in provider_tools"
    return Reason("provider_tool_not_allowed", message)


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return a test for requests that use a tool of a provider or an address, if any candidate is limited in them."""
    limited = [item for item in candidates if _allowed(item, asker.key) is not None]
    if not limited:
        return None
    if any(_own_tools(item) for item in limited):
        return lambda call: True
    return lambda call: bool(ways_out_of(call))


def _allowed(item: Candidate, key: VirtualKey | None) -> Collection[str] | None:
    """Return the names of what is allowed. `None` means everything."""
    if key is not None and key.provider_tools is not None:
        return key.provider_tools
    return () if item.require else None


def _own_tools(item: Candidate) -> list[WayOut]:
    """Return the tools that a model uses by itself."""
    return [WayOut(tool, "model") for pattern, tool, _ in item.endpoint.tool_models if fnmatchcase(item.model, pattern)]


def _named(way: WayOut) -> str:
    return f"{way.name} (field {way.field!r}{f', {way.address}' if way.address else ''})"
