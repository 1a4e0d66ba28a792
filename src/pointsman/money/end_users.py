"""The limits of end users: a counter for each user, up to a number of users in each window, and one for all others.

Clients choose the names of their users. So a counter's name has only a digest of such a name, together with the team or
the key that the user belongs to. Users of two teams are never the same.
"""

from hashlib import sha256

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.identity import EndUserLimits, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.wire.end_users import end_user

OTHERS = "others"  # the name of the counter that all further users share
DIGITS = 24  # hexadecimal, of a digest
MAX_KEPT = 50_000  # users whose limits are kept


class _Users(Struct):
    """The users with a counter of their own in one window, which ends at `until`."""

    until: float = float("-inf")
    names: set[str] = field(default_factory=set)


class _Kept(Struct, frozen=True, gc=False):
    limits: tuple[Limit, ...]
    until: float


class EndUsers:
    """The end users that a worker has seen in the present windows."""

    def __init__(self) -> None:
        self._users: dict[str, _Users] = {}  # by the counter of the template
        self._kept: dict[tuple[EndUserLimits, str], _Kept] = {}

    def limits_of(self, call: Call, key: VirtualKey, now_unix_s: float) -> tuple[Limit, ...]:
        """Return the limits of the user that a call names."""
        found: tuple[Limit, ...] = ()
        for one in key.end_users:
            user = call.head.headers.get(one.header, "") if one.header else end_user(call)
            if user:
                found += self.limits(one, key, user, now_unix_s)
        return found

    def limits(self, of: EndUserLimits, key: VirtualKey, user: str, now_unix_s: float) -> tuple[Limit, ...]:
        """Return the limits of a user that a key names. The same objects are returned again in the same window."""
        name = user_name(key, user)
        kept = self._kept.get((of, name))
        if kept is not None and now_unix_s < kept.until:
            return kept.limits
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        found: list[Limit] = []
        until = float("inf")
        for template in of.limits:
            users = self._users.setdefault(template.counter, _Users())
            if now_unix_s >= users.until:
                users.until, users.names = template.period.window(now_unix_s)[1], set()
            if len(users.names) < of.at_most:
                users.names.add(name)
            own = name if name in users.names else OTHERS
            found.append(replace(template, owner=f"{template.owner}/{own}"))
            until = min(until, users.until)
        kept = self._kept[of, name] = _Kept(tuple(found), until)
        return kept.limits


def user_name(key: VirtualKey, user: str) -> str:
    """Return the name of a user in the names of counters."""
    scope = f"team:{key.team}" if key.team is not None else f"virtual_key:{key.name}"
    return sha256(f"{scope}\0{user}".encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
