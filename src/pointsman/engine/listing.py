"""The list of objects stored at a provider, as one owner sees it.

A provider lists all objects of an account, a page at a time. Other owners' objects are left out. Pages are read until
one full page of the owner's own objects is found, or no more follow: an SDK takes an empty page for the end.
"""

from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.engine.ownership import Ownership
from pointsman.wire.json_object import UNREADABLE, encode_object

MAX_PAGES = 50
DEFAULT_ELEMENTS, MAX_ELEMENTS = 20, 100  # of a page: the default, and the maximum of every list
_FILES = "/files"
_MAX_FILES = 10_000  # of a page of files: the maximum, and the default


class _Element(Struct):
    id: str | None = None


_PAGE = msgspec.json.Decoder(dict[str, Raw])
_ELEMENTS = msgspec.json.Decoder(list[Raw])
_ELEMENT = msgspec.json.Decoder(_Element)
_NO_LIST = Failure(
    failures.MALFORMED_ANSWER, "the provider's list cannot be read, so the owners of its elements are unknown"
)


class FilteredList:
    """One requested list. `body` is the answer, once it is complete."""

    body: bytes | None = None

    def __init__(self, call: Call) -> None:
        path, _, query = call.head.path.partition("?")
        self._path = path
        pairs = parse_qsl(query, keep_blank_values=True)
        self._query = [pair for pair in pairs if pair[0] not in ("limit", "after", "before")]
        self._cursors = dict(pairs)
        limit, default = self._cursors.get("limit", ""), _MAX_FILES if path.startswith(_FILES) else DEFAULT_ELEMENTS
        self._wanted = int(limit) if limit.isdigit() and 0 < int(limit) <= _MAX_FILES else default
        self._found: list[Raw] = []
        self._ids: list[str] = []
        self._pages = 0

    def first(self, call: Call) -> Call | Failure:
        """Return the call for the first page."""
        if "before" in self._cursors:
            message = "'before' is not supported, since the list omits objects of other owners; use 'after' and 'order'"
            return Failure(failures.INVALID_REQUEST, message, param="before")
        return self._next(call, self._cursors.get("after"))

    async def take(
        self, call: Call, body: bytes, provider: str, ownership: Ownership, key: VirtualKey | None
    ) -> Call | Failure | None:
        """Take a page. Return the call for the next page, if one is needed, or the failure."""
        self._pages += 1
        try:
            page = _PAGE.decode(body)
            elements = _ELEMENTS.decode(page["data"])
            ids = [_ELEMENT.decode(one).id or "" for one in elements]
        except (*UNREADABLE, KeyError):
            return _NO_LIST
        hidden = await ownership.hidden_ids(ids, provider, key, call.snapshot)
        if isinstance(hidden, Failure):
            return hidden
        own = [(name, one) for name, one in zip(ids, elements, strict=True) if name not in hidden]
        room = self._wanted - len(self._found)
        self._ids += [name for name, _ in own[:room]]
        self._found += [one for _, one in own[:room]]
        has_more = bytes(page.get("has_more", b"")) == b"true"
        is_full = len(self._found) >= self._wanted
        if not is_full and has_more and ids and ids[-1]:
            if self._pages < MAX_PAGES:
                return self._next(call, ids[-1])
            if not self._found:
                message = (
                    f"the first {MAX_PAGES} pages of the provider's list contain none of your objects; request it by id"
                )
                return Failure(failures.STATE_UNAVAILABLE, message)
        self._finish(page, has_more=has_more or len(own) > room)
        return None

    def _next(self, call: Call, cursor: str | None) -> Call:
        query = list(self._query)
        if self._wanted <= MAX_ELEMENTS:
            query.append(("limit", str(MAX_ELEMENTS)))
        elif "limit" in self._cursors:
            query.append(("limit", self._cursors["limit"]))
        if cursor is not None:
            query.append(("after", cursor))
        path = f"{self._path}?{urlencode(query)}" if query else self._path
        return replace(call, head=replace(call.head, path=path))

    def _finish(self, page: dict[str, Raw], *, has_more: bool) -> None:
        ends = (
            {"first_id": self._ids[0], "last_id": self._ids[-1]} if self._ids else {"first_id": None, "last_id": None}
        )
        known = {name: ends[name] for name in ends if name in page}
        self.body = encode_object({**page, "data": self._found, **known, "has_more": has_more})
