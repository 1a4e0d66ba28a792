"""The versions that calls name in `If-Match`."""

import pytest

from pointsman.admin.edits import version_in
from pointsman.admin.problems import ApiError


def test_etag_is_a_version() -> None:
    assert [version_in(text) for text in (None, "*", '"17"', ' "0" ')] == [None, None, 17, 0]


@pytest.mark.parametrize("text", ["17", 'W/"17"', '"x"', '"-1"', '""'])
def test_etag_of_no_resource_matches_none(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        version_in(text)
    assert caught.value.status == 412
