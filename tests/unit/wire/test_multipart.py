"""A form is read in one way only, however it arrives, and no more of it is passed on than was read."""

import pytest

from fakes.wire import refused
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
    """Have a whole form read. Returns its model and what was passed on."""
    reader = FormReader(BOUNDARY, reads_on=True)
    passed = b"".join(map(reader.feed, pieces))
    reader.end()
    return reader.fields.get("model"), passed


def refusal(data: bytes) -> Failure:
    """Why a form is refused: in one piece, in bytes and in two pieces. Nothing of what spoils it is passed on."""
    reader = FormReader(BOUNDARY, reads_on=True)
    passed, found = b"", None
    for byte in data:
        try:
            passed += reader.feed(bytes([byte]))
        except Rejection as spoilt:
            found = spoilt.failure
            break
    else:
        found = refused(reader.end)
    assert data.startswith(passed)
    assert len(passed) < len(data)
    assert refused(lambda: read(data)) == found
    return found


def test_the_model_is_found_and_all_is_passed_on_after_every_split() -> None:
    data = form(field("language", b"en\r\n\r\nmodel"), MODEL, FILE, field("empty", b""))
    expected = FormField("whisper-1", data.index(b"whisper-1"), data.index(b"whisper-1") + 9)
    for at in range(len(data) + 1):
        assert read(data[:at], data[at:]) == (expected, data)
    assert read(*(bytes([byte]) for byte in data)) == (expected, data)


def test_the_model_is_there_as_soon_as_its_delimiter_is_whole_and_its_name_not_passed_on_before() -> None:
    data = form(MODEL, FILE)
    reader = FormReader(BOUNDARY)
    due = data.index(DELIMITER, 1) + len(DELIMITER)
    passed = b"".join(reader.feed(bytes([byte])) for byte in data[: due - 1])
    assert (reader.fields, passed) == ({}, data[: data.index(b"whisper-1")])
    assert reader.feed(data[due - 1 :]) == b"whisper-1"
    assert reader.is_settled()
    reader.decide()
    assert reader.feed(b"") == data[len(passed) + len(b"whisper-1") :], "nothing was read behind it before"


@pytest.mark.parametrize("data", [form(FILE, MODEL), form(field("a", b"b")), form(), form(field("models", b"w"))])
def test_a_form_may_name_its_model_anywhere_or_not_at_all(data: bytes) -> None:
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


def test_an_optional_field_is_found_and_not_waited_for() -> None:
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
    assert refused(lambda: late.feed(b"")).param == "file_url", "it was decided that there is none"


@pytest.mark.parametrize("name", ["N", "n[]", "[n]"])
def test_a_field_that_another_reader_takes_for_a_wanted_one_is_refused(name: str) -> None:
    reader = FormReader(BOUNDARY, frozenset({"model", "n"}))
    assert refused(lambda: reader.feed(form(field(name, b"2")))).param == name
    assert read(form(MODEL, field(name, b"2")))[0] is not None, "where nobody acts on it, it passes"


@pytest.mark.parametrize("data", [form(MODEL, FILE, MODEL), form(MODEL, MODEL, FILE), form(FILE, MODEL, MODEL)])
def test_a_second_model_is_refused_wherever_it_stands(data: bytes) -> None:
    found = refusal(data)
    assert (found.param, "more than once" in found.message) == ("model", True)


def test_a_model_is_refused_where_it_was_decided_that_there_is_none() -> None:
    reader = FormReader(BOUNDARY)
    reader.feed(FILE)
    reader.decide()
    assert refused(lambda: reader.feed(MODEL)).param == "model"


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
def test_the_name_is_read_in_any_plain_writing(head: str) -> None:
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
def test_what_clients_write_of_other_parts_passes(head: str) -> None:
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
def test_a_part_that_may_be_a_model_to_another_reader_is_refused(head: str) -> None:
    refusal(form(part(head, b"w"), FILE))


def test_what_is_quoted_of_a_form_is_for_the_client_alone() -> None:
    found = refusal(form(part('Content-Disposition: form-data; name="my secret"', b"w")))
    assert "secret" not in found.message
    assert found.said is not None
    assert "my secret" in found.said


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
def test_a_form_that_can_be_taken_apart_in_another_way_is_refused(data: bytes) -> None:
    refusal(data)


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
def test_boundaries(content_type: str, boundary: bytes | None) -> None:
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
def test_a_form_without_one_plain_boundary_is_refused(parameters: str) -> None:
    assert refused(lambda: boundary_of("multipart/form-data" + parameters)).param == "content-type"


def test_fields_that_name_what_is_kept_are_found() -> None:
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
    assert "at the beginning" in refused(lambda: reader.feed(b"")).message
