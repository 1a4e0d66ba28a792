"""The common part of requests whose body is passed on with another model name."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.units import Units
from pointsman.wire.generation import ACTED_ON, MAX_FALLBACKS, check_names
from pointsman.wire.json_object import read_object, read_typed, reject_variants
from pointsman.wire.paths import ParsedHead
from pointsman.wire.public_names import own_name
from pointsman.wire.state import touched

METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "PUT", "PATCH"})


class Passed(Struct, kw_only=True):
    """The fields that every such request may have."""

    model: Annotated[str, Meta(max_length=512)] | None = None
    stream: bool | None = None
    fallbacks: Annotated[list[str], Meta(max_length=MAX_FALLBACKS)] | None = None


P = TypeVar("P", bound=Passed)


def read_passed(
    decoder: "msgspec.json.Decoder[P]", body: bytes, acted_on: frozenset[str] = frozenset()
) -> tuple[dict[str, Raw], P]:
    """Read a JSON body. `acted_on` are further fields of which no variant may be in it. Raises `Rejection`."""
    fields = read_object(body)
    typed = read_typed(decoder, body, fields)
    reject_variants(fields, ACTED_ON | acted_on)
    check_names(typed.model or "", typed.fallbacks)
    fields.pop("fallbacks", None)
    return fields, typed


def passed_call(
    parsed: ParsedHead,
    body: bytes,
    fields: dict[str, Raw],
    typed: Passed,
    *,
    media: Media = NO_MEDIA,
    units: Units | None = None,
    stores: bool = True,
) -> Call:
    """Return the call of a JSON body, or of none. It does not belong to one account, so it can be repeated elsewhere.
    `stores` says whether the provider is asked to store the result. Raises `Rejection`."""
    return Call(
        operation=parsed.api.operation,
        head=parsed.head,
        snapshot=parsed.snapshot,
        model=own_name(typed.model or "", parsed.snapshot),
        fields=fields,
        size=len(body),
        stream=typed.stream or False,
        fallbacks=tuple([own_name(name, parsed.snapshot) for name in typed.fallbacks or ()]),
        raw_body=None if fields else body,
        media=media,
        state=touched(parsed.head.method, parsed.head.path, fields, stores=stores),
        units=units,
    )
