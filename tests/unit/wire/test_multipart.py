"""Forms: ambiguous ones are rejected, the pieces do not matter, and only parsed bytes are passed on."""

import pytest

from fakes.wire import rejected
from pointsman.domain.failures import Failure, Rejection
from pointsman.wire.multipart import MAX_HEAD_BYTES, FormField, FormReader, boundary_of

BOUNDARY = b"----X-5"
DELIMITER = b"--" + BOUNDARY


def part(head: str, body: bytes) -> bytes:
    return DELIMITER + b"\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + DELIMITER + b"--\r\n"


def field(name: str, body: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', body)


MODEL = field("model", b"whisper-1")
FILE = part(
    'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav',
    b'RIFF\r\n\r\n--not it\r\n----X-\r\nname="model"\r\n',
)


def read(*pieces: bytes) -> tuple[FormField | None, bytes]:
    """Read a whole form. Return its model and the bytes that were passed on."""
    reader = FormReader(BOUNDARY, reads_on=True)
    passed = b"".join(map(reader.feed, pieces))
    reader.end()
    return reader.fields.get("model"), passed


def failure_of(data: bytes) -> Failure:
    """Return the failure of a form in one piece, in single bytes and in two pieces. No faulty byte is passed on."""
    reader = FormReader(BOUNDARY, reads_on=True)
    passed, found = b"", None
    for byte in data:
        try:
            passed += reader.feed(bytes([byte]))
        except Rejection as spoilt:
            found = spoilt.failure
            break
    else:
        found = rejected(reader.end)
    assert data.startswith(passed)
    assert len(passed) < len(data)
    assert rejected(lambda: read(data)) == found
    return found


def test_model_is_found_and_form_is_passed_on_at_every_split() -> None:
    data = form(field("language", b"en\r\n\r\nmodel"), MODEL, FILE, field("empty", b""))
    expected = FormField("whisper-1", data.index(b"whisper-1"), data.index(b"whisper-1") + 9)
    for at in range(len(data) + 1):
        assert read(data[:at], data[at:]) == (expected, data)
    assert read(*(bytes([byte]) for byte in data)) == (expected, data)


def test_model_is_known_at_its_delimiter_and_held_back_until_then() -> None:
    data = form(MODEL, FILE)
    reader = FormReader(BOUNDARY)
    due = data.index(DELIMITER, 1) + len(DELIMITER)
    passed = b"".join(reader.feed(bytes([byte])) for byte in data[: due - 1])
    assert (reader.fields, passed) == ({}, data[: data.index(b"whisper-1")])
    assert reader.feed(data[due - 1 :]) == b"whisper-1"
    assert reader.is_settled()
    reader.decide()
    assert reader.feed(b"") == data[len(passed) + len(b"whisper-1") :], "no byte after it was parsed yet"


@pytest.mark.parametrize("data", [form(FILE, MODEL), form(field("a", b"b")), form(), form(field("models", b"w"))])
def test_model_is_optional_and_may_be_anywhere(data: bytes) -> None:
    found, passed = read(data)
    assert passed == data
    assert (found is None) == (MODEL not in data)


def test_other_fields_are_found_and_files_are_counted() -> None:
    data = form(FILE, field("n", b"2"), FILE, MODEL)
    reader = FormReader(BOUNDARY, frozenset({"model", "n"}))
    for byte in data:
        reader.feed(bytes([byte]))
    assert {name: one.value for name, one in reader.fields.items()} == {"model": "whisper-1", "n": "2"}
    assert (reader.files, reader.file_bytes) == (2, 2 * len(FILE.partition(b"\r\n\r\n")[2][:-2]))


def test_optional_field_is_found_but_not_awaited() -> None:
    address = field("file_url", b"https://host/x.mp3")
    reader = FormReader(BOUNDARY, optional=frozenset({"file_url"}))
    reader.feed(form(address, MODEL, FILE))
    assert reader.fields["file_url"].value == "https://host/x.mp3"
    reader = FormReader(BOUNDARY, optional=frozenset({"file_url"}))
    reader.feed(form(MODEL, FILE))
    assert reader.is_settled()
    late = FormReader(BOUNDARY, optional=frozenset({"file_url"}))
    late.feed(form(MODEL, FILE, address))
    late.decide()
    assert rejected(lambda: late.feed(b"")).param == "file_url", "the decision excluded it"


@pytest.mark.parametrize("name", ["N", "n[]", "[n]"])
def test_variant_of_wanted_field_is_rejected(name: str) -> None:
    reader = FormReader(BOUNDARY, frozenset({"model", "n"}))
    assert rejected(lambda: reader.feed(form(field(name, b"2")))).param == name
    assert read(form(MODEL, field(name, b"2")))[0] is not None, "it passes if it is not wanted"


@pytest.mark.parametrize("data", [form(MODEL, FILE, MODEL), form(MODEL, MODEL, FILE), form(FILE, MODEL, MODEL)])
def test_second_model_is_rejected_anywhere(data: bytes) -> None:
    found = failure_of(data)
    assert (found.param, "more than once" in found.message) == ("model", True)


def test_model_after_decision_is_rejected() -> None:
    reader = FormReader(BOUNDARY)
    reader.feed(FILE)
    reader.decide()
    assert rejected(lambda: reader.feed(MODEL)).param == "model"


@pytest.mark.parametrize(
    "head",
    [
        "content-disposition: form-data; name=model",
        'CONTENT-DISPOSITION: Form-Data; NAME="model"',
        'Content-Type: text/plain\r\nContent-Disposition: form-data; name="model"',
        'Content-Disposition:form-data;name="model"\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 1',
        'Content-Disposition: form-data ; name="model" \r\nContent-Transfer-Encoding: 8bit',
    ],
)
def test_plain_spellings_of_name_are_read(head: str) -> None:
    found, _ = read(form(part(head, b"w")))
    assert found is not None
    assert found.value == "w"


@pytest.mark.parametrize(
    "head",
    [
        'Content-Disposition: form-data; name="file"; filename="päß; a=b\\c.wav"',
        'Content-Disposition: form-data; filename*=UTF-8\'\'a%20b.wav; name="file"; filename="a_b.wav"',
        'Content-Disposition: form-data; name="timestamp_granularities[]"',
        'Content-Disposition: form-data; name="metadata[model]"',
        'Content-Type: text/plain; name="model"\r\nContent-Disposition: form-data; name="prompt"',
    ],
)
def test_usual_headers_of_other_parts_pass(head: str) -> None:
    data = form(MODEL, part(head, b"w"))
    assert read(data)[1] == data


@pytest.mark.parametrize(
    "head",
    [
        'Content-Disposition: form-data; name="Model"',
        'Content-Disposition: form-data; name="model[]"',
        'Content-Disposition: form-data; name="[model]"',
        'Content-Disposition: form-data; name=" model"',
        'Content-Disposition: form-data; name="mod\\el"',
        'Content-Disposition: form-data; name="%6dodel"',
        "Content-Disposition: form-data; name='model'",
        "Content-Disposition: form-data; name = model",
        "Content-Disposition: form-data; name*=UTF-8''model",
        "Content-Disposition: form-data; name=\"x\"; name*=UTF-8''model",
        'Content-Disposition: form-data; name*0="mo"; name*1="del"',
        'Content-Disposition: form-data; name="x"; name="model"',
        'Content-Disposition: form-data; name="x"; size=1; NAME="model"',
        'Content-Disposition: form-data; name="x"; filename="a\\"; name="model"',
        'Content-Disposition: form-data; name="x"; filename="; name=model"',
        'Content-Disposition: form-data; name="x" name="model"',
        'Content-Disposition: form-data; name="x";\r\n name="model"',
        'Content-Disposition: form-data;\r\n\tname="model"',
        'Content-Disposition : form-data; name="model"',
        ' Content-Disposition: form-data; name="model"',
        'Content-Disposition: form-data; name="x"\nContent-Disposition: form-data; name="model"',
        'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"',
        'Content-Disposition: form-data; name="x"\r\nX: \x00',
        'Content-Disposition: attachment; name="model"',
        "Content-Disposition: form-data",
        "Content-Type: text/plain",
        'Content-Disposition: form-data; name="x"\r\nno header',
        'Content-Disposition: form-data; name="x"\r\nContent-Transfer-Encoding: base64',
        'Content-Disposition: form-data; name="model"; filename="a"',
        'Content-Disposition: form-data; name="model"\r\nContent-Type: text/plain; charset=utf-7',
        'Content-Disposition: form-data; name="model"\r\nContent-Type: application/json',
        'Content-Disposition: form-data; name="x"\r\nX: ' + "x" * MAX_HEAD_BYTES,
        "",
    ],
)
def test_ambiguous_part_is_rejected(head: str) -> None:
    failure_of(form(part(head, b"w"), FILE))


def test_quotation_of_form_reaches_only_the_client() -> None:
    found = failure_of(form(part('Content-Disposition: form-data; name="my secret"', b"w")))
    assert "secret" not in found.message
    assert found.quote is not None
    assert "my secret" in found.quote


@pytest.mark.parametrize(
    "data",
    [
        b"preamble\r\n" + form(MODEL),
        b"\r\n" + form(MODEL),
        form(MODEL) + field("model", b"w"),
        form(MODEL, FILE) + b"x",
        form(MODEL, FILE.replace(b"RIFF", b"RIFF" + DELIMITER + b"\r\n")),
        form(MODEL, FILE).replace(b"RIFF\r\n", b"RIFF\n" + field("model", b"w").replace(b"\r\n", b"\n")),
        form(MODEL, FILE).replace(b"RIFF", b"RIFF\r\n" + DELIMITER + b" \r\n"),
        form(MODEL, FILE).replace(b"RIFF", b"RIFF\r\n" + DELIMITER + b"\n"),
        form(MODEL, FILE)[:-4],
        form(MODEL, FILE)[:-30],
        form(MODEL, FILE)[:-6] + field("model", b"w")[:-8],
        form(field("model", b"\xff"), FILE),
        form(field("model", b""), FILE),
        form(field("model", b"m" * 600), FILE),
        form(DELIMITER + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'),
    ],
)
def test_ambiguous_form_is_rejected(data: bytes) -> None:
    failure_of(data)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a=b"', b"a=b"),
        ('Multipart/Form-Data;charset="UTF-8";BOUNDARY=abc;', b"abc"),
        ("application/json", None),
        ("", None),
        ("multipart/mixed; boundary=abc", None),
    ],
)
def test_boundary_is_read_from_content_type(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; boundary=",
        "; xboundary=a",
        "; boundary=a; boundary=b",
        "; boundary=a, multipart/form-data; boundary=b",
        "; boundary*=utf-8''a",
        '; boundary="a;b"',
        '; boundary="a',
        '; x="; boundary=a"; boundary=b',
        "; boundary=a; charset=utf-7",
        "; boundary = a",
        "; boundary=" + "a" * 71,
    ],
)
def test_form_without_one_plain_boundary_is_rejected(parameters: str) -> None:
    assert rejected(lambda: boundary_of("multipart/form-data" + parameters)).param == "content-type"


def test_fields_with_ids_of_stored_objects_are_found() -> None:
    data = form(field("file_id", b"file-1"), field("video[id]", b"video_1"), MODEL, field("file_id", b"file-2"))
    reader = FormReader(BOUNDARY, reads_on=True, finds_state=True)
    passed = b"".join(reader.feed(bytes([byte])) for byte in data)
    reader.end()
    assert passed == data
    assert reader.named == [("file_id", "file-1"), ("video[id]", "video_1"), ("file_id", "file-2")]
    for odd in (b'["file-1"]', b" file-1", b"file-1,file-2", b"file-1\n", b"x" * 600, "f\u00efle".encode(), b""):
        reader = FormReader(BOUNDARY, reads_on=True, finds_state=True)
        with pytest.raises(Rejection) as found:
            reader.feed(form(field("file_id", odd)))
        assert found.value.failure.param == "file_id"
    reader = FormReader(BOUNDARY, finds_state=True)
    reader.feed(form(MODEL, field("file_id", b"file-1")))
    reader.decide()  # on what was read so far
    assert "at the beginning" in rejected(lambda: reader.feed(b"")).message
