"""Speech that is charged by tokens is bounded by its text, and estimated from its audio."""

import pytest

from fakes.money import charge_of
from fakes.wire import parse
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.prices import Price, Rates
from pointsman.money.bounds import bound_of
from pointsman.money.charges import Bound, Charge
from pointsman.money.speech import Spoken, most_spoken, spoken
from pointsman.money.terms import Terms
from unit.money.test_charges import reception_of

SPEECH = Price(Rates(input=600_000, output=10_000_000, audio_out=12_000_000))
TERMS = Terms(limits=(), price=SPEECH, output=None, has_budget=True, max_input_rate=600_000, max_output_rate=12_000_000)


def speech(text: str, **fields: object) -> Call:
    return parse({"model": "m", "voice": "alloy", "input": text, **fields}, "/audio/speech")


def charged(call: Call, audio: int, failure: Failure | None = None) -> Charge:
    reception = reception_of(call)
    reception.on_head(200, {b"content-type": b"audio/mpeg"})
    reception.bytes_in = audio
    bound = bound_of(TERMS, call)
    assert isinstance(bound, Bound)
    charge = charge_of(call, SPEECH, bound, None, reception, failure)
    assert charge.nano + charge.held_nano <= bound.nano
    return charge


def test_text_bounds_the_reservation() -> None:
    bound = bound_of(TERMS, speech("hi"))
    assert isinstance(bound, Bound)
    assert bound.nano < 10_000_000, "a cent, where the longest answer of the model costs 39"
    assert most_spoken(speech("a" * 100_000)) == 500 + 10 * 100_002
    assert bound_of(TERMS, speech("a" * 100_000)).tokens < 32_768 + 102_000  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["wav", "pcm"])
def test_length_of_plain_audio_gives_its_tokens(form: str) -> None:
    call = speech("a" * 150, response_format=form)
    charge = charged(call, 48_000 * 10)
    assert (charge.source, charge.usage.tokens_out, charge.usage.audio_out) == ("estimated", 210, 210)
    assert charge.held_nano == 0
    assert charge.nano == charge.usage.tokens_in * 600 + 210 * 12_000


def test_compressed_audio_is_estimated_from_the_text_and_bounded_by_its_length() -> None:
    call = speech("a" * 150)
    charge = charged(call, 160_000)
    assert (charge.source, charge.usage.tokens_out) == ("estimated", 210)
    assert charge.held_nano == (840 - 210) * 12_000
    assert spoken(speech("a" * 150, response_format="odd"), 160_000) == Spoken(210, 500 + 10 * 152)


def test_audio_that_did_not_arrive_is_estimated_and_the_rest_is_held() -> None:
    call = speech("a" * 150, response_format="wav")
    charge = charged(call, 1000, Failure(failures.CLIENT_GONE, ""))
    assert (charge.source, charge.usage.tokens_out) == ("estimated", 210)
    assert charge.held_nano == (500 + 1520 - 210) * 12_000


def test_other_requests_have_no_speech() -> None:
    assert spoken(parse({"model": "m", "url": "https://a.test/x.mp3"}, "/audio/transcriptions"), 9) is None
    assert most_spoken(speech("")) is None
