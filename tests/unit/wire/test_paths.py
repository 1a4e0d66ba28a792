"""The table of paths: exact names, then the longest prefix."""

from fakes.wire import rejected
from pointsman.wire.paths import ApiPath, PathTable

GET, POST = frozenset({"GET"}), frozenset({"POST"})


def test_exact_paths_win_over_prefixes_and_long_over_short() -> None:
    short = ApiPath("/a", GET, "other", is_prefix=True)
    long = ApiPath("/a/b", GET, "file", is_prefix=True)
    exact = ApiPath("/a/b/c", GET, "chat")
    table = PathTable([short, long, exact])
    assert table.find("GET", "/a") is short
    assert table.find("GET", "/a/x") is short
    assert table.find("GET", "/a/b/x") is long
    assert table.find("GET", "/a/b/c") is exact
    assert rejected(lambda: table.find("GET", "/ab")).kind.status == 404


def test_entries_of_one_path_may_differ_by_method() -> None:
    get, post = ApiPath("/a", GET, "other"), ApiPath("/a", POST, "chat")
    table = PathTable([get, post])
    assert table.find("GET", "/a") is get
    assert table.find("POST", "/a") is post
    failure = rejected(lambda: table.find("PUT", "/a"))
    assert failure.kind.status == 405
    assert "GET, POST" in failure.message
