"""The tokens of a spoken text, for models that charge them by tokens. An answer of audio reports none.

Speech has about 15 characters a second. `gpt-4o-mini-tts` makes about 21 tokens of it: OpenAI states $0.015 a minute,
at $12 for a million tokens. So a character of English takes about 1.4 tokens. A reservation has ten tokens for each
byte of the text, which are half a second: a digit, a symbol or a slow voice takes longer than a letter. Characters with
more sound, as in Chinese, have three bytes or more.
https://platform.openai.com/docs/pricing, https://platform.openai.com/docs/guides/text-to-speech
"""

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.wire.spoken import sound_format, text_bytes

TOKENS_PER_S = 21
CHARACTERS_PER_S = 15
MOST_TOKENS_PER_BYTE = 10
SILENCE_TOKENS = 500  # of any answer: a short text may be spoken with long pauses
PCM_BYTES_PER_S = 48_000  # `pcm` and `wav` have 24,000 samples a second of 16 bits
# The fewest bytes of a second in the other formats: 32 kbit/s for MP3 and AAC, 16 for Opus; FLAC is not below 96.
LEAST_BYTES_PER_S = {"mp3": 4_000, "aac": 4_000, "opus": 2_000, "flac": 12_000}


class Spoken(Struct, frozen=True, gc=False):
    """The likely tokens of an answer, and the most that it can have."""

    likely: int
    most: int


def most_spoken(call: Call) -> int | None:
    """Return the most tokens of an answer that speaks a text; `None` if the call asks for none."""
    if call.operation != "audio" or call.units is None or call.units.unit != "character":
        return None
    return SILENCE_TOKENS + MOST_TOKENS_PER_BYTE * text_bytes(call)


def spoken(call: Call, bytes_in: int | None) -> Spoken | None:
    """Return the tokens of an answer that speaks a text. `bytes_in` is the length of the audio if it is complete, which
    tells its duration if it is not compressed."""
    most = most_spoken(call)
    if most is None or call.units is None:
        return None
    usual = _tokens(call.units.milli // 1000, CHARACTERS_PER_S)
    if not bytes_in:
        return Spoken(min(usual, most), most)
    form = sound_format(call)
    if form in ("wav", "pcm"):
        exact = min(_tokens(bytes_in, PCM_BYTES_PER_S), most)
        return Spoken(exact, exact)
    if form in LEAST_BYTES_PER_S:
        most = min(_tokens(bytes_in, LEAST_BYTES_PER_S[form]), most)
    return Spoken(min(usual, most), most)


def _tokens(count: int, of_a_second: int) -> int:
    return max(-(-count * TOKENS_PER_S // of_a_second), 1)
