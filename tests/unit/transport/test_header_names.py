"""Header names in lower case, kept in bounded number."""

from pointsman.transport import header_names
from pointsman.transport.header_names import _LowerNames, lower_name


def test_names_become_lower_case_once() -> None:
    assert lower_name(b"Content-Type") == b"content-type"
    assert lower_name(bytes(bytearray(b"Content-Type"))) is lower_name(b"Content-Type")


def test_number_and_length_of_kept_names_are_bounded() -> None:
    names = _LowerNames()
    for number in range(header_names.MAX_NAMES + 10):
        assert names[b"X-%d" % number] == b"x-%d" % number
    assert len(names) == header_names.MAX_NAMES
    long = b"X" * (header_names.MAX_NAME_BYTES + 1)
    assert _LowerNames()[long] == long.lower()
    fresh = _LowerNames()
    assert fresh[long] == long.lower()
    assert not fresh
