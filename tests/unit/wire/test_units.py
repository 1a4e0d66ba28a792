"""Units of requests and answers."""

import json

import pytest

from fakes.wire import parse, parsed_head
from pointsman.domain.calls import Call
from pointsman.domain.units import Units
from pointsman.wire.forms import form_call
from pointsman.wire.multipart import ReadForm
from pointsman.wire.units import answered_units, recording_units

DRAWING = parse({"model": "m", "n": 3}, "/images/generations")
RANKING = parse({"model": "m", "query": "q", "documents": ["d"]}, "/rerank")
READING = parse({"model": "m", "document": {}}, "/ocr")
SPEECH = parse({"model": "m", "input": "Hi"}, "/audio/speech")
LISTENING = form_call(parsed_head("/audio/transcriptions"), 5000, ReadForm(values={"model": "m"}))
CHAT = parse({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


@pytest.mark.parametrize(
    ("call", "answer", "units"),
    [
        (DRAWING, {"data": [{}, {"b64_json": "x"}]}, Units("image", 2000)),
        (DRAWING, {"data": [{}], "quality": "high", "size": "auto"}, Units("image", 1000, None, "high")),
        (DRAWING, {"data": []}, None),
        (DRAWING, {"data": "x"}, None),
        (LISTENING, {"text": "", "usage": {"type": "duration", "seconds": 27}}, Units("second", 27_000)),
        (LISTENING, {"text": "", "usage": {"seconds": 1.2345}, "duration": 9}, Units("second", 1235)),
        (LISTENING, {"text": "", "duration": 3.5}, Units("second", 3500)),
        (LISTENING, {"text": "", "duration": "3.5"}, Units("second", 3500)),
        (LISTENING, {"text": "", "duration": "long"}, None),
        (LISTENING, {"text": "", "duration": -1}, None),
        (LISTENING, {"text": "", "usage": {"seconds": 1e300}}, None),
        (LISTENING, {"text": "", "usage": {"type": "tokens", "input_tokens": 5}}, None),
        (RANKING, {"results": [], "meta": {"billed_units": {"search_units": 2}}}, Units("search", 2000)),
        (RANKING, {"results": [], "meta": {"billed_units": {"search_units": 1.0}}}, Units("search", 1000)),
        (RANKING, {"results": [], "usage": {"search_units": 3}}, Units("search", 3000)),
        (RANKING, {"results": [], "meta": {"billed_units": {"input_tokens": 2}}}, None),
        (RANKING, {"results": [], "meta": []}, None),
        (READING, {"pages": [], "usage_info": {"pages_processed": 4}}, Units("page", 4000)),
        (READING, {"pages": []}, None),
        (SPEECH, {"data": [{}]}, None),
        (CHAT, {"data": [{}], "usage": {"seconds": 1}}, None),
    ],
)
def test_units_of_an_answer_are_those_of_its_request(call: Call, answer: object, units: Units | None) -> None:
    assert answered_units(call, json.dumps(answer).encode()) == units


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_unreadable_answer_has_no_units(body: bytes) -> None:
    assert answered_units(DRAWING, body) is None
    assert answered_units(LISTENING, body) is None


def test_hostile_answer_with_images_is_not_counted() -> None:
    assert answered_units(DRAWING, b'{"data":[%b{}]}' % (b"{}," * 500_000)) is None


@pytest.mark.parametrize("cut", range(60))
def test_beginning_of_a_wav_file_that_is_cut_is_not_believed(cut: int) -> None:
    head = b"RIFF\x24\x3e\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00\x80>\x00\x00\x02\x00\x10\x00data"
    found = recording_units(16_044, (head + b"\x80\x3e\x00\x00")[:cut], is_whole=True)
    assert found == (Units("second", 1000) if cut >= 44 else Units("second", 17_000, 2000))
