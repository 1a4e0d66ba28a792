"""Finds the `model` field of a multipart form while the form is still arriving. RFC 7578."""

import re

from msgspec import Struct

from pointsman.wire.json_object import refuse

MAX_PREFIX_BYTES = 256 * 1024

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(rb';\s*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILENAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


class ModelField(Struct, frozen=True):
    """Where the value of `model` lies in the bytes read so far."""

    model: str
    start: int
    end: int


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a `multipart/form-data` content type; `None` for any other type."""
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise refuse("the content type multipart/form-data has no boundary", "content-type")
    return (match[1] or match[2]).encode("ascii")


def find_model(prefix: bytes, boundary: bytes) -> ModelField | None:
    """Look for the field in what has arrived; `None` when more is needed.

    Raises `Refusal` when a file comes first, or when the form ends without the field.
    """
    delimiter = b"--" + boundary
    position = prefix.find(delimiter)
    while position >= 0:
        position += len(delimiter)
        if prefix.startswith(b"--", position):
            break
        head_end = prefix.find(b"\r\n\r\n", position)
        if head_end < 0:
            return None
        head, start = prefix[position:head_end], head_end + 4
        # Only the one header that names a part counts: what another server would not read as its name must not either.
        dispositions = _DISPOSITION.findall(head)
        if len(dispositions) != 1 or _FILENAME.search(dispositions[0]):
            break
        end = prefix.find(b"\r\n" + delimiter, start)
        if end < 0:
            return None
        name = _NAME.search(dispositions[0])
        if name is not None and (name[1] or name[2]) == b"model":
            try:
                return ModelField(prefix[start:end].decode(), start, end)
            except UnicodeDecodeError:
                raise refuse("the field 'model' is not valid UTF-8", "model") from None
        position = end + 2
    if position < 0:
        return None
    raise refuse(
        "the form names no model before its file: put the field 'model' first, or name the provider by the header "
        "x-pointsman-provider",
        "model",
    )
