"""The model of a form is found at the same place however the form arrives."""

import pytest

from fakes.wire import refused
from pointsman.domain.failures import Refusal
from pointsman.wire.multipart import ModelField, boundary_of, find_model

BOUNDARY = b"----X-5"


def part(head: str, body: bytes) -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def field(name: str, body: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', body)


FILE = part(
    'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav',
    b'RIFF\r\n\r\n--not it\r\nname="model"',
)


def test_the_field_is_found_after_every_split() -> None:
    data = form(field("language", b"en\r\n\r\nmodel"), field("model", b"whisper-1"), FILE)
    found = find_model(data, BOUNDARY)
    assert found == ModelField("whisper-1", data.index(b"whisper-1"), data.index(b"whisper-1") + 9)
    answers = {find_model(data[:at], BOUNDARY) for at in range(len(data) + 1)}
    assert answers == {None, found}
    # Found as soon as the delimiter after it is whole, and not lost again.
    first = next(at for at in range(len(data)) if find_model(data[:at], BOUNDARY))
    assert first == data.index(b"whisper-1") + 9 + 2 + 2 + len(BOUNDARY)
    assert all(find_model(data[:at], BOUNDARY) == found for at in range(first, len(data) + 1))


@pytest.mark.parametrize(
    "data", [form(FILE, field("model", b"w")), form(field("a", b"b")), form(), form(field("models", b"w"))]
)
def test_a_form_that_names_no_model_before_its_file_is_refused_at_every_split(data: bytes) -> None:
    assert refused(lambda: find_model(data, BOUNDARY)).param == "model"
    has_refused = False
    for at in range(len(data) + 1):
        try:
            assert find_model(data[:at], BOUNDARY) is None
            assert not has_refused
        except Refusal:
            has_refused = True
    assert has_refused


@pytest.mark.parametrize(
    "head",
    [
        "content-disposition: form-data; name=model",
        'CONTENT-DISPOSITION: form-data; NAME="model"',
        'Content-Type: text/plain; name="x"\r\nContent-Disposition: form-data; name="model"',
        'Content-Disposition:form-data;name="model"',
    ],
)
def test_the_name_is_read_in_any_writing(head: str) -> None:
    found = find_model(form(part(head, b"w")), BOUNDARY)
    assert found is not None
    assert found.model == "w"


def test_a_name_in_another_header_is_not_the_fields_name() -> None:
    sly = part('Content-Type: text/plain; name="model"\r\nContent-Disposition: form-data; name="prompt"', b"allowed")
    found = find_model(form(sly, field("model", b"real")), BOUNDARY)
    assert found is not None
    assert found.model == "real"


def test_a_part_with_two_dispositions_is_refused() -> None:
    sly = part('Content-Disposition: form-data; name="model"\r\nContent-Disposition: form-data; name="x"', b"w")
    refused(lambda: find_model(form(sly), BOUNDARY))


def test_a_preamble_is_skipped_and_bad_text_refused() -> None:
    found = find_model(b"preamble\r\n" + form(field("model", b"w")), BOUNDARY)
    assert found is not None
    assert found.model == "w"
    assert refused(lambda: find_model(form(field("model", b"\xff")), BOUNDARY)).param == "model"


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a b;c"', b"a b;c"),
        ("Multipart/Form-Data;charset=x;BOUNDARY=abc; x=y", b"abc"),
        ("application/json", None),
        ("", None),
        ("multipart/mixed; boundary=abc", None),
    ],
)
def test_boundaries(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; xboundary=a"]
)
def test_a_form_without_a_boundary_is_refused(content_type: str) -> None:
    assert refused(lambda: boundary_of(content_type)).param == "content-type"
