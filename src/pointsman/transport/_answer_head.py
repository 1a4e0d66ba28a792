"""The headers of an answer, from what llhttp reports of its head.

llhttp hands over one header after the other. Taking them by a method would cost a call of Python's for each of the
twenty or so that providers send, so they go straight into a dictionary, by its `setdefault`. That loses the values of
a name that comes again; then there are fewer names than lines, and the head is read once more.
"""

from contextlib import suppress

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pointsman.domain.messages import Headers


def headers_of(found: dict[bytes, bytes], raw: bytes, lines: int) -> Headers:
    """The headers by their names in lower case. `found` are the first values of each name, as the parser reported
    them; `raw` begins with the head, which has that many `lines` of headers."""
    headers = dict(zip(map(bytes.lower, found), found.values(), strict=True))  # not a step of Python's for each
    return headers if len(headers) == lines else read_again(raw)


def read_again(raw: bytes) -> Headers:
    """The headers of the head that `raw` begins with, which llhttp has accepted before."""
    reader = _Reader()
    with suppress(HttpParserError, HttpParserUpgrade):  # behind the head
        HttpResponseParser(reader).feed_data(raw)
    return reader.headers


class _Reader:
    def __init__(self) -> None:
        self.headers: Headers = {}
        self._is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_complete:  # trailers come here, too
            name = name.lower()
            headers = self.headers
            headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        self._is_complete = True
