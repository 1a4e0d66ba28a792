"""Objects that Google stores, as a request names them."""

from msgspec import Raw

from pointsman.domain.state import Named
from pointsman.wire.dialects.gemini.stored import touched


def test_cached_contents_and_files_are_named() -> None:
    uri = b'{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/abc-1"}'
    fields = {"cachedContent": Raw(b'"cachedContents/x"'), "contents": Raw(b"[%b,%b]" % (uri, uri))}
    found = touched(fields)
    assert found is not None
    assert found.names == (
        Named("cached content", "cachedContents/x", "cachedContent"),
        Named("file", "abc-1", "fileUri"),
    )


def test_most_requests_name_none() -> None:
    assert touched({"contents": Raw(b'[{"parts":[{"fileData":{"fileUri":"https://x.test/files/a"}}]}]')}) is None
