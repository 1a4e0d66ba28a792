"""Count a request's tokens as far as its body shows: an upper bound to reserve, and an estimate to charge or to fit a
context.

The estimate is charged if a provider did not report usage. https://platform.openai.com/docs/api-reference/chat/create
(`messages`), …/responses/create (`input`)

The bound: no token of text takes less than a byte, so the size of a request bounds its text. An image that is part of
the request is many bytes and few tokens; for one named by address the reverse holds. So images have a ceiling each, and
their own bytes are not counted. A recording has the length that its header gives. A second of a WAV file takes the
bytes its header gives, and one of an MP3 file `MP3_BYTES_PER_S` at least. Other media have the ceiling and, like text,
their bytes.

The estimate: text has a token for every four bytes, the usual figure for English, rounded up for each text. The frame
of a message has four, and the start of an answer three, as OpenAI counts them:
https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken. Tools and schemas count as compact JSON. Images
count as typical ones, and recordings and files by their bytes.
"""

import re
from binascii import a2b_base64
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.domain.operations import GENERATING
from pointsman.wire.json_object import UNREADABLE, read_or

BYTES_PER_TOKEN = 4  # of text
CONTENT_BYTES_PER_TOKEN = 2  # at least, of an answer: 1.9 of one with JSON for tools, 3 of text
MAX_BYTES_PER_TOKEN = 16  # of text: it certainly has no more tokens than this
_WITH_TOOLS = frozenset({"tools", "functions"})
PLAIN_TEMPLATE_TOKENS = 64  # a provider's additions to a prompt without tools whose text was counted
TEMPLATE_TOKENS = 512  # a provider's additions to a prompt: the marks around messages, the words around tools

# The most expensive known is gpt-4o-mini's: 2,833, and 5,667 for each of at most eight tiles, 48,169 in all. Others
# have hundreds or thousands. https://platform.openai.com/docs/guides/images-vision (`Calculating costs`)
MEDIA_TOKENS = 50_000

# OpenAI counts 10 tokens a second, Gemini 32. Whisper's encoder makes 50. Most open models merge some of them, and
# first fill up its window of 30 seconds.
AUDIO_TOKENS_PER_S = 50
RECORDING_TOKENS = 30 * AUDIO_TOKENS_PER_S
MP3_BYTES_PER_S = 1000  # 8 kbit/s, the lowest of its rates
WAV_BYTES_PER_S = 32_000  # the most that is believed: speech models resample to this, 16 kHz of 16 bit

# Of a form with a recording only the size is known. OpenAI's models for forms have a context of 16,000, so none counts
# more, whatever the format. https://platform.openai.com/docs/models/gpt-4o-transcribe
FORM_TOKENS = 16_000

MESSAGE_TOKENS, REPLY_TOKENS = 4, 3
IMAGE_TOKENS = 1_000  # 1024 x 1024 pixels are 765 at gpt-4o, 1,024 patches elsewhere, and some 1,400 at Anthropic
USUAL_RECORDING_TOKENS, RECORDING_BYTES_PER_TOKEN = 100, 1_600  # ten seconds at least; ten tokens a second, 128 kbit/s
FILE_TOKENS, FILE_BYTES_PER_TOKEN = 1_000, 32  # a page at least; text and image of one, 2,000 tokens, are some 60 KB

IMAGES = frozenset({"image_url", "input_image", "computer_screenshot"})
TYPES = IMAGES | {"input_audio", "audio_url", "video_url", "file", "input_file", "document_url"}
_TEXTS = frozenset(
    {"text", "input_text", "output_text", "refusal", "reasoning", "reasoning_text", "summary_text"}
    | {"thinking", "redacted_thinking", "tool_use"}
)  # the bytes of a part of one of these kinds bound its cost
_LISTS = frozenset({"content", "output"})  # the fields of an item of a response's input that hold parts

_NONE = Raw(b"")
_IMAGE = re.compile(rb'"data:image/(?:png|jpe?g|webp|gif)[;,]')  # SVG is text, and TIFF may be many pages
_IMAGE_BYTES = len('"data:image\\/webp;')
_PLAIN_WAV = (1, 3)  # whole numbers and fractions; https://www.rfc-editor.org/rfc/rfc2361
_LAYER_3, _NO_VERSION, _NO_RATE, _NO_BITRATES = 1, 1, 3, (0, 15)  # in the head of a frame of MP3

_PROMPTS = ("messages", "input", "prompt", "instructions", "suffix")
_TOOLS = ("tools", "functions")
_FORMATS = ("response_format", "text")
_READ = (*_PROMPTS, *_TOOLS, *_FORMATS)
_NOT_PROMPT = frozenset({"role", "type", "id", "status", "call_id", "tool_call_id"})  # of a message or a part
_AUDIO_TYPES = frozenset({"input_audio", "audio_url"})
_EMPTY = frozenset({b"null", b"[]", b"{}"})


class _Part(Struct, kw_only=True, gc=False):
    """A part of a content. Some servers go by the names of the fields if `type` is absent."""

    type: str = ""
    image_url: Raw = _NONE
    input_audio: Raw = _NONE
    audio_url: Raw = _NONE
    video_url: Raw = _NONE
    document_url: Raw = _NONE
    image: Raw = _NONE
    audio: Raw = _NONE
    video: Raw = _NONE
    file: Raw = _NONE
    file_id: Raw = _NONE
    file_url: Raw = _NONE


_TYPELESS = ("image_url", "input_audio", "audio_url", "video_url", "image", "audio", "video")
_BY_ADDRESS = ("audio_url", "video_url", "document_url", "audio", "video")  # of any length, unlike an image
_OTHERS = frozenset({"image", "audio", "video"})  # extensions of some servers
_ELSEWHERE = ("file_id", "file_url", "audio_url", "video_url", "document_url")
_RANKED = ("input", "query", "queries", "documents", "items", "text_1", "text_2", "data_1", "data_2")
_PICTURES = ("image", "images", "image_url", "image_urls", "mask", "reference_images", "input_references")
_RECORDINGS = ("url", "file_url", "file_id", "audio_url", "ref_audio")
_NOTHING = frozenset({b"", b"null", b'""'})


class _Nothing(Struct, gc=False):
    """Any object: none of its fields is read."""


class _Address(Struct, gc=False):
    url: Raw = _NONE


class _Recording(Struct, gc=False):
    data: Raw = _NONE


_PARTS = msgspec.json.Decoder(list[_Part])
_ADDRESS = msgspec.json.Decoder(_Address)
_RECORDING = msgspec.json.Decoder(_Recording)
_ITEMS = msgspec.json.Decoder(list[Raw])
_ITEM = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)
_OBJECTS = msgspec.json.Decoder(list[_Nothing])
_MARKS = tuple(f'"{name}"'.encode() for name in sorted(TYPES))
_WINDOW_BYTES = 4 << 20
_LETTERS = sorted({letter for name in TYPES for letter in name})
_ESCAPES = {
    escape: letter.encode() for letter in _LETTERS for escape in (b"\\u%04x" % ord(letter), b"\\u%04X" % ord(letter))
}


# Larger values are not walked, since that would delay other requests: their bytes are counted.
MAX_WALKED_BYTES = 4 * 1024 * 1024
MAX_WALKED_MARKS, MAX_WALKED_QUOTES = 4_096, 40_000


def most_in(call: Call) -> int:
    """Return the most tokens that a prompt can have, as far as its bytes bound it, or the count of its text does."""
    media, text = call.media, call.text_tokens
    if text is None:
        return call.size - media.size + TEMPLATE_TOKENS + media.tokens
    is_plain = _WITH_TOOLS.isdisjoint(call.fields)
    return text + (PLAIN_TEMPLATE_TOKENS if is_plain else TEMPLATE_TOKENS) + media.tokens


def tokens_needed(call: Call, bytes_per_token: int = BYTES_PER_TOKEN) -> int:
    """Estimate how many tokens of context a call takes, its answer included. Return 0 if its size does not show that,
    since it holds more than text."""
    if call.operation not in GENERATING or call.media.count:
        return 0
    return call.size // bytes_per_token + (call.max_tokens or 0)


def in_content(content: Raw | bytes) -> Media:
    """Return the media in the `content` of one message: a text, or a list of parts that each set their type."""
    text = bytes(content)
    return _in_parts(text) if text.startswith(b"[") else NO_MEDIA


def in_input(value: Raw | None) -> Media:
    """Return the media in the `input` of a response: a text, or a list of items whose `content` or `output` may hold
    parts. For a value of another shape, the result is an upper bound."""
    text = b'"' if value is None else bytes(value)
    if text.startswith(b'"') or not _marks(text):
        return NO_MEDIA
    media = NO_MEDIA
    try:
        _OBJECTS.decode(text)  # before a list is made of perhaps a million numbers
        for item in _ITEMS.decode(text):
            media += _in_item(bytes(item))
    except UNREADABLE:
        return _by_marks(text)
    return media


def in_ranking(fields: Mapping[str, Raw]) -> Media:
    """Return the media in embedded, ranked or moderated values: texts, or objects with parts in them, in any of some
    fields. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (`Score API`, `Re-rank API`)"""
    media = NO_MEDIA
    for name in _RANKED:
        if name in fields:
            media += in_input(fields[name])
    return media


def in_pictures(fields: Mapping[str, Raw]) -> Media:
    """Return the source images of an image request, in JSON: each is an address, an id, or an object with one.
    https://platform.openai.com/docs/api-reference/images/createEdit, https://docs.x.ai/docs/guides/image-generations"""
    count = 0
    for name in _PICTURES:
        text = bytes(fields.get(name, b""))
        if text not in _NOTHING:
            count += len(read_or(_ITEMS, text, [_NONE])) if text.startswith(b"[") else 1
    return Media(count, count * MEDIA_TOKENS) if count else NO_MEDIA


def in_audio_request(fields: Mapping[str, Raw]) -> Media:
    """Return a recording that a request names but does not hold: it may have any length."""
    name = next((name for name in _RECORDINGS if bytes(fields.get(name, b"")) not in _NOTHING), "")
    return Media(elsewhere=name) if name else NO_MEDIA


def in_earlier_audio(audio: Raw) -> Media:
    """Return the audio that an assistant's message repeats by the id of an earlier answer."""
    return NO_MEDIA if bytes(audio) in _NOTHING else Media(elsewhere="messages.audio")


def in_recording(size: int, elsewhere: str = "") -> Media:
    """Return a form of so many bytes with one recording, as if all of it were an MP3 file. `elsewhere` is the field
    that names another recording."""
    tokens = RECORDING_TOKENS + -(-size * AUDIO_TOKENS_PER_S // MP3_BYTES_PER_S)
    return Media(1, max(FORM_TOKENS, tokens), size, elsewhere)


def _in_item(item: bytes) -> Media:
    media, is_read = NO_MEDIA, False
    fields = _ITEM.decode(item)
    for name, raw in fields.items():
        value = bytes(raw)
        if name in _LISTS and value.startswith((b"[", b"{")):
            media += _in_parts(value if value.startswith(b"[") else b"[%b]" % value)
            is_read = True
        else:
            media += _by_marks(value)
    return media if is_read else _by_marks(item)


def _in_parts(text: bytes) -> Media:
    try:
        parts = _PARTS.decode(text)
    except UNREADABLE:
        return _by_marks(text)
    media = NO_MEDIA
    for part in parts:
        if part.type not in _TEXTS:
            media += _of_part(part)
    return media


def _of_part(part: _Part) -> Media:
    media, elsewhere = _by_kind(part), _elsewhere(part)
    return media + Media(elsewhere=elsewhere) if elsewhere else media


def _elsewhere(part: _Part) -> str:
    """Return the field of a part that names an object outside the request."""
    for name in ("file_id", "file_url"):
        if bytes(getattr(part, name)) not in _NOTHING:
            return name
    if bytes(part.file).find(b'"file_id"') >= 0:
        return "file_id"
    name = next((name for name in _BY_ADDRESS if _is_elsewhere(getattr(part, name))), "")
    if not name and part.type and part.type not in TYPES and part.type not in _OTHERS:
        return "content"  # a part of an unknown kind may make the provider read anything
    return name


def _is_elsewhere(address: Raw) -> bool:
    if bytes(memoryview(address)[:1]) == b"{":
        try:
            address = _ADDRESS.decode(address).url
        except UNREADABLE:
            return True
    return bytes(address) not in _NOTHING and bytes(memoryview(address)[:6]) != b'"data:'


def _by_kind(part: _Part) -> Media:
    kind = part.type
    if not kind:
        kind = next((name for name in _TYPELESS if bytes(getattr(part, name))), "")
    if kind in IMAGES:
        return Media(1, MEDIA_TOKENS, _image_bytes(part.image_url))
    if kind == "input_audio":
        return _recording(part.input_audio)
    return Media(1, MEDIA_TOKENS) if kind else NO_MEDIA


def _image_bytes(address: Raw) -> int:
    """Return how many bytes of the body are an image. `address` is the place for its address: in chats an object, in
    responses the address itself."""
    if bytes(memoryview(address)[:1]) == b"{":
        address = read_or(_ADDRESS, address, _Address()).url
    view = memoryview(address)
    # Some write \/ for each slash.
    return view.nbytes if _IMAGE.match(bytes(view[:_IMAGE_BYTES]).replace(b"\\/", b"/")) else 0


def _recording(audio: Raw) -> Media:
    """Return a recording in base64. If it is not a WAV or MP3 file, it may be any length: silence takes next to no
    bytes in some formats."""
    return in_base64(read_or(_RECORDING, audio, _Recording()).data)


def in_base64(recording: Raw) -> Media:
    """Return a recording whose JSON text is base64."""
    data = bytes(recording)
    text = data[1:-1].replace(b"\\/", b"/")
    rate = _bytes_per_s(text)
    if not rate:
        return Media(1, MEDIA_TOKENS)
    size = len(text) * 3 // 4
    return Media(1, RECORDING_TOKENS + -(-size * AUDIO_TOKENS_PER_S // rate), len(data))


def _bytes_per_s(text: bytes) -> int:
    """Return the fewest bytes that a second of this recording takes, or 0 if that is unknown."""
    head = _decoded(text, 0, 36)
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt " and len(head) == 36:
        layout, channels, rate, frame, bits = (
            int.from_bytes(head[start:end], "little")
            for start, end in ((20, 22), (22, 24), (24, 28), (32, 34), (34, 36))
        )
        return min(rate * min(frame, channels * (bits // 8)), WAV_BYTES_PER_S) if layout in _PLAIN_WAV else 0
    start = 0
    if head[:3] == b"ID3":  # https://id3.org/id3v2.4.0-structure: the size of a tag has seven bits in each byte
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
    return MP3_BYTES_PER_S if _is_mp3(_decoded(text, start, 4)) else 0


def _is_mp3(frame: bytes) -> bool:
    """Return whether this is the head of a frame of MPEG layer III with a rate that is set."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] < 0xE0:
        return False
    version, layer, bitrate, rate = frame[1] >> 3 & 3, frame[1] >> 1 & 3, frame[2] >> 4, frame[2] >> 2 & 3
    return version != _NO_VERSION and layer == _LAYER_3 and bitrate not in _NO_BITRATES and rate != _NO_RATE


def _decoded(text: bytes, start: int, length: int) -> bytes:
    """Return so many decoded bytes of a base64 text, or fewer if it is shorter."""
    first = start // 3 * 4
    try:
        return a2b_base64(text[first : first + (length + 5) // 3 * 4])[start % 3 :][:length]
    except ValueError:
        return b""


def _by_marks(text: bytes) -> Media:
    count = _marks(text)
    if not count:
        return NO_MEDIA
    elsewhere = next((name for name in _ELSEWHERE if text.find(b'"%b"' % name.encode()) >= 0), "")
    return Media(count, count * MEDIA_TOKENS, elsewhere=elsewhere)


def _marks(text: bytes) -> int:
    """Return the most media that a JSON value of any shape can hold. The names of their types are counted wherever they
    are, read through escapes as a provider reads them."""
    if b"\\u006" in text or b"\\u007" in text or b"\\u005" in text:
        for escape, letter in _ESCAPES.items():
            text = text.replace(escape, letter)
    windows = range(0, len(text), _WINDOW_BYTES)  # one long count would block all threads that wait for the interpreter
    return sum(text.count(mark, at, at + _WINDOW_BYTES + len(mark) - 1) for mark in _MARKS for at in windows)


def about_tokens(call: Call) -> int:
    """Estimate the tokens of a prompt. This takes some milliseconds at most."""
    fields = call.fields
    if fields and call.size > MAX_WALKED_BYTES:
        return about_by_size(call)
    if not fields:  # a form
        return _about_recording(call.size) if call.operation == "audio" else about_size(call.size)
    total = 0
    if call.size > MAX_WALKED_QUOTES and any(is_dense(bytes(fields[name])) for name in _READ if name in fields):
        return about_by_size(call)
    if call.operation in ("chat", "responses"):
        total += REPLY_TOKENS
        if bytes(fields.get("input", b""))[:1] == b'"':
            total += MESSAGE_TOKENS
    for name in _PROMPTS:
        if name in fields:
            total += counted(_about_prompt, bytes(fields[name]))
    for name in _TOOLS:
        if name in fields:
            total += counted(about_value, bytes(fields[name]))
    for name in _FORMATS:
        if name in fields and b'"schema"' in bytes(fields[name]):
            total += counted(about_value, bytes(fields[name]))
    return total


def is_dense(text: bytes) -> bool:
    """Return whether a text holds too much to be walked. Numbers are not walked."""
    few = text.count(b"{") + text.count(b"[") <= MAX_WALKED_MARKS
    return not few or text.count(b'"') > MAX_WALKED_QUOTES or text.count(b",") > MAX_WALKED_QUOTES


def about_by_size(call: Call) -> int:
    """Estimate the tokens of a prompt by its size alone, without a look at its text."""
    media = call.media
    if not (media.size or media.count):
        return -(-call.size // BYTES_PER_TOKEN)  # as `about_size`: a strategy calls this several times for a request
    return about_size(max(call.size - media.size, 0)) + media.count * IMAGE_TOKENS


def counted(count: Callable[[bytes], int], text: bytes) -> int:
    """Return the count of a JSON value, or an estimate by its size if it cannot be read."""
    try:
        return count(text)
    except UNREADABLE:
        return about_size(len(text))


def _about_prompt(text: bytes) -> int:
    """Estimate the tokens of a text, or of a list of messages, texts, lists of numbers, or numbers, which are
    tokens."""
    if not text.startswith(b"["):
        return about_value(text)
    if b'"' not in text and b"{" not in text and text.strip(b"[] \t\r\n"):
        return text.count(b",") + 1
    total = 0
    for raw in _ITEMS.decode(text):
        element = bytes(raw)
        if element.startswith(b"{"):
            total += MESSAGE_TOKENS + _about_fields(element)
        elif element.startswith(b"["):
            total += len(_ITEMS.decode(element))
        else:
            total += about_value(element) if element.startswith(b'"') else 1
    return total


def _about_fields(text: bytes) -> int:
    """Estimate the tokens of a message, or of a part that is text."""
    total = 0
    for name, raw in _ITEM.decode(text).items():
        value = bytes(raw)
        if name in _LISTS and value.startswith((b"[", b"{")):
            parts = _ITEMS.decode(value) if value.startswith(b"[") else [raw]
            total += sum(_about_part(bytes(part)) for part in parts)
        elif name not in _NOT_PROMPT:
            total += about_value(value)
    return total


def _about_part(text: bytes) -> int:
    if not text.startswith(b"{"):
        return about_value(text)
    fields = _ITEM.decode(text)
    kind = _STRING.decode(fields["type"]) if "type" in fields else next(iter(TYPES.intersection(fields)), "")
    if kind in IMAGES:
        return IMAGE_TOKENS
    if kind in _AUDIO_TYPES:
        return _about_recording(len(text) * 3 // 4)
    if kind in TYPES:
        return max(FILE_TOKENS, len(text) * 3 // 4 // FILE_BYTES_PER_TOKEN)
    return _about_fields(text)


def about_value(text: bytes) -> int:
    """Estimate the tokens of a text without its quotation marks and escapes; anything else counts as compact JSON."""
    if text in _EMPTY:
        return 0
    if text.startswith(b'"'):
        return about_size(len(text) - 2 if b"\\" not in text else len(_STRING.decode(text).encode()))
    return about_size(len(msgspec.json.format(text, indent=-1)))


def _about_recording(size: int) -> int:
    return max(USUAL_RECORDING_TOKENS, size // RECORDING_BYTES_PER_TOKEN)


def about_size(size: int) -> int:
    """Estimate the tokens of so many bytes of text."""
    return -(-size // BYTES_PER_TOKEN)
