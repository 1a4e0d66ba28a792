"""A body that is passed on as it arrives: its call, its changes and its pace."""

from collections.abc import Callable
from itertools import pairwise
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.engine import FakeCarrier
from fakes.exchange import FakeClient, exchange_of, request_head
from fakes.origin import POST, Answer
from fakes.wire import parsed_head
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure, Rejection
from pointsman.engine.tasks import Cancelled, EagerTask
from pointsman.engine.uploads import UploadRelay
from pointsman.transport.leg import UploadLeg

MOST_HELD = 100_000
LONG = 1_000_000  # bytes of a form that is passed on before it is complete
PURPOSE = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ntest\r\n'
FIELD = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\npublic-name\r\n'
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
END = b"\r\n--B--\r\n"
FORM = "multipart/form-data; boundary=B"
BINARY = "application/octet-stream"

SOME_HEAD = RequestHead()  # replaces the heads of calls that are compared


class Scene:
    """An upload whose client and provider the test controls. `call` is the result of the upload's head and form."""

    def __init__(
        self,
        content_type: str = FORM,
        path: str = "/audio/transcriptions",
        *,
        length: int | None = LONG,
        provider: str | None = None,
        most_held: int = MOST_HELD,
    ) -> None:
        exchange, self.client = exchange_of(request_head(target="/v1" + path), length=length)
        requested = parsed_head(path, provider=provider, content_type=content_type)
        self.upload = UploadRelay(exchange, requested, most_held)
        self.call: Call | None = None
        self.rejection: Failure | None = None
        self.aborted_with: Failure | None = None
        self.carrier = FakeCarrier()
        EagerTask(self._find(), Cancelled).resume()

    @property
    def model(self) -> str | None:
        return self.call.model if self.call is not None else None

    async def _find(self) -> None:
        try:
            self.call = await self.upload.find_call()
        except Rejection as rejection:
            self.rejection = rejection.failure

    def pump(self, model: str) -> UploadLeg:
        """Send the body to a provider without a connection yet."""
        leg = UploadLeg(POST, Answer(), monotonic() + 10, self.upload.length_for(model))
        self.upload.pump(leg, model, 60.0, self._abort)
        return leg

    def _abort(self, failure: Failure) -> None:
        self.aborted_with = failure

    def connect(self, leg: UploadLeg) -> None:
        """Make the connection: the head is sent, and bytes may be written."""
        self.carrier.uploaded = leg.message(b"")
        leg.carrier = self.carrier
        self.take_more(leg)

    def take_more(self, leg: UploadLeg) -> None:
        """Let the connection accept bytes again."""
        self.carrier.takes_more = True
        assert leg.on_writable is not None
        leg.on_writable()

    @property
    def sent(self) -> bytes:
        """Return the body that the provider has received."""
        head, _, rest = self.carrier.uploaded.partition(b"\r\n\r\n")
        if b"chunked" not in head:
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body


# The model.


@pytest.mark.parametrize("cut", [1, 10, len(PURPOSE), len(PURPOSE + FIELD) - 3, len(PURPOSE + FIELD)])
def test_model_is_found_when_its_field_is_complete(cut: int) -> None:
    scene, body = Scene(), PURPOSE + FIELD + FILE
    scene.client.upload(body[:cut])
    assert scene.model is None
    scene.client.upload(body[cut:])
    assert scene.model == "public-name"


@pytest.mark.parametrize(
    "scene",
    [
        lambda: Scene(BINARY, "/files"),
        lambda: Scene(FORM, "/files"),
        lambda: Scene(BINARY),
        lambda: Scene("text/plain", provider="alpha"),
    ],
)
def test_upload_without_a_required_model_does_not_wait(scene: Callable[[], Scene]) -> None:
    assert scene().model == ""


@pytest.mark.parametrize("body", [FILE + END, PURPOSE + FILE + END, PURPOSE[:-2] + END])
def test_form_without_a_model_is_rejected(body: bytes) -> None:
    scene = Scene(length=len(body))
    scene.client.upload(body, ends=True)
    assert scene.rejection is not None
    assert (scene.rejection.kind.code, scene.rejection.param) == ("invalid_request", "model")


def test_truncated_form_is_rejected() -> None:
    scene = Scene()
    scene.client.upload(PURPOSE[:20], ends=True)
    assert scene.rejection is not None


def test_form_is_rejected_if_its_model_is_not_in_the_held_bytes() -> None:
    scene = Scene()
    scene.client.upload(b"--B\r\nContent-Disposition: form-data; name=x\r\n\r\n", b"x" * MOST_HELD)
    assert scene.rejection is not None
    assert scene.client.is_body_paused


LONG_FILE = FILE + b"x" * (2 * MOST_HELD)


@pytest.mark.parametrize("body", [FILE + END, PURPOSE[:-2] + END, LONG_FILE])
def test_form_needs_no_model_if_a_header_names_the_provider(body: bytes) -> None:
    scene = Scene(provider="alpha")
    scene.client.upload(body, ends=body is not LONG_FILE)
    assert (scene.model, scene.rejection) == ("", None)


@pytest.mark.parametrize("body", [FIELD + FILE, PURPOSE + FILE + b"x\r\n" + FIELD + PURPOSE])
def test_model_of_a_form_is_read_even_if_a_header_names_the_provider(body: bytes) -> None:
    scene = Scene(provider="alpha")
    scene.client.upload(body)
    assert scene.model == "public-name"


@pytest.mark.parametrize("body", [b"no form", FIELD + FIELD + FILE, FIELD.replace(b"model", b"Model") + FILE])
@pytest.mark.parametrize("provider", [None, "alpha"])
def test_ambiguous_form_is_rejected(body: bytes, provider: str | None) -> None:
    scene = Scene(provider=provider, length=MOST_HELD)
    scene.client.upload(body)
    assert scene.rejection is not None
    assert scene.model is None


# Pieces of a form.

N_FIELD = b'--B\r\nContent-Disposition: form-data; name="n"\r\n\r\n3\r\n'
SHORT_FILE, WIDE_FILE = FILE + b"s" * 300 + b"\r\n", FILE + b"w" * 3000 + b"\r\n"
PARTS = st.lists(st.sampled_from([FIELD, N_FIELD, PURPOSE, SHORT_FILE, WIDE_FILE, b"garbage"]), max_size=5)


def outcome(body: bytes, places: list[int], path: str, provider: str | None, *, is_sized: bool) -> tuple[object, ...]:
    """Return the call of a form, or its rejection; and the bytes that the provider receives, if it receives all."""
    scene = Scene(FORM, path, length=len(body) if is_sized else None, provider=provider, most_held=2000)
    ends = sorted({min(place, len(body)) for place in places} | {0, len(body)})
    pieces = [body[start:end] for start, end in pairwise(ends)]
    for piece in pieces:
        scene.client.upload(piece)
    scene.client.upload(ends=True)
    if scene.call is None:
        assert scene.rejection is not None
        return ("rejected", scene.rejection)
    leg = scene.pump("m")
    if scene.aborted_with is None:
        scene.connect(leg)
    sent = scene.sent if scene.aborted_with is None else None
    assert scene.call is not None
    return (replace(scene.call, head=SOME_HEAD), scene.aborted_with, sent, leg.is_uploading)


@pytest.mark.parametrize("provider", [None, "alpha"])
@given(parts=PARTS, places=st.lists(st.integers(0, 7000), max_size=20), is_image=st.booleans(), is_sized=st.booleans())
def test_equal_forms_are_equal_calls_in_any_pieces(
    provider: str | None, parts: list[bytes], places: list[int], is_image: bool, is_sized: bool
) -> None:
    path = "/images/edits" if is_image else "/audio/transcriptions"
    body = b"".join(parts) + END[2:]
    whole = outcome(body, [], path, provider, is_sized=is_sized)
    assert outcome(body, places, path, provider, is_sized=is_sized) == whole
    bytewise = list(range(0, len(body), 7))
    assert outcome(body, bytewise, path, provider, is_sized=is_sized) == whole


@pytest.mark.parametrize("parts", [[FIELD, SHORT_FILE], [SHORT_FILE, FIELD], [SHORT_FILE, N_FIELD, PURPOSE, FIELD]])
def test_short_form_may_have_its_fields_in_any_order(parts: list[bytes]) -> None:
    body = b"".join(parts) + END[2:]
    call, aborted_with, sent, _ = outcome(body, [], "/images/edits", None, is_sized=True)
    assert isinstance(call, Call)
    assert (call.model, call.choices, call.media.count) == ("public-name", 3 if N_FIELD in parts else 1, 1)
    assert aborted_with is None
    assert sent == body.replace(b"public-name", b"m")


def test_held_bytes_count_as_memory_until_they_are_sent() -> None:
    scene = Scene(length=len(FILE + b"\r\n" + FIELD + END[2:]))
    scene.client.upload(FILE)
    assert scene.client.held == len(FILE)
    scene.client.upload(b"\r\n" + FIELD + END[2:], ends=True)
    leg = scene.pump("m")
    assert scene.client.held > len(FILE)
    scene.connect(leg)
    assert scene.client.held == 0


def test_form_is_rejected_if_memory_is_full() -> None:
    scene = Scene()
    scene.client.may_hold = 10
    scene.client.upload(FILE)
    assert scene.rejection is not None
    assert scene.rejection.kind.status == 503


# Changes after the decision.


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (FIELD + FILE + b"sound", b"\r\n" + FIELD + END[2:]),
        (FIELD + FILE + b"sound", b"\r\n" + FIELD.replace(b"model", b"Model") + END[2:]),
        (FIELD + FILE + b"sound", b"\r\n"),
        (FIELD + FILE + b"sound", END + FIELD),
    ],
)
@pytest.mark.parametrize("is_in_bytes", [True, False])
def test_form_that_changes_after_the_decision_is_aborted(start: bytes, rest: bytes, is_in_bytes: bool) -> None:
    scene = Scene(length=len(start + rest))
    scene.client.upload(start)
    leg = scene.pump("public-name")
    scene.connect(leg)
    scene.client.upload(*([bytes([byte]) for byte in rest] if is_in_bytes else [rest]), ends=True)
    assert scene.aborted_with is not None
    assert scene.aborted_with.kind.code == "invalid_request"
    assert len(start) - len(END) <= len(scene.sent) < len(start + rest), "the provider does not get the end"
    assert b"odel" not in scene.sent[len(PURPOSE) :]
    assert leg.is_uploading


def test_form_that_changes_before_it_is_sent_is_not_sent() -> None:
    scene = Scene()
    scene.client.upload(FIELD + FILE + b"\r\n" + FIELD)
    assert scene.model == "public-name", "later bytes are not parsed before the decision"
    leg = scene.pump("m")
    assert scene.aborted_with is not None
    assert leg.on_writable is None


def test_late_model_field_aborts_the_upload() -> None:
    scene = Scene(provider="alpha")
    scene.client.upload(LONG_FILE)
    assert scene.model == ""
    scene.connect(scene.pump(""))
    scene.client.upload(b"\r\n" + FIELD + END[2:], ends=True)
    assert scene.aborted_with is not None
    assert scene.aborted_with.param == "model"


# Replacing the model.


@pytest.mark.parametrize("model", ["m", "a-longer/name-than-before", "größe"])
@pytest.mark.parametrize("is_sized", [True, False])
def test_only_the_model_name_of_a_form_changes(model: str, is_sized: bool) -> None:
    body = PURPOSE + FIELD + FILE + b"public-name stays in the file" + END
    expected = body.replace(b"public-name", model.encode(), 1)
    scene = Scene(length=len(body) if is_sized else None)
    scene.client.upload(body[:150], body[150:180])
    assert scene.upload.length_for(model) == (len(expected) if is_sized else None)
    leg = scene.pump(model)
    scene.connect(leg)
    scene.client.upload(body[180:], ends=True)
    assert scene.sent == expected
    assert not leg.is_uploading, "the body is complete"


def test_body_without_a_model_is_unchanged() -> None:
    body = b"\x00\xffmodel" * 100
    scene = Scene(BINARY, "/files", length=len(body))
    assert scene.upload.length_for("ignored") == len(body)
    leg = scene.pump("ignored")
    scene.connect(leg)
    scene.client.upload(body, ends=True)
    assert (scene.sent, leg.is_uploading) == (body, False)


def test_body_that_arrived_before_the_connection_is_sent_completely() -> None:
    body = FIELD + FILE + END
    scene = Scene(length=len(body))
    scene.client.upload(body, ends=True)
    leg = scene.pump("m")
    scene.connect(leg)
    assert (scene.sent, leg.is_uploading) == (body.replace(b"public-name", b"m"), False)


def test_second_provider_gets_the_body_that_the_first_did_not() -> None:
    body = FIELD + FILE + END
    scene = Scene(length=len(body))
    scene.client.upload(body[:-3])
    assert scene.pump("first").is_uploading  # its connection fails
    leg = scene.pump("second")
    scene.connect(leg)
    scene.client.upload(body[-3:], ends=True)
    assert scene.sent == body.replace(b"public-name", b"second")


def test_data_that_arrives_during_the_connect_keeps_its_order() -> None:
    body = FIELD + FILE + END
    scene = Scene(length=len(body))
    scene.client.upload(body[:150])
    leg = scene.pump("m")
    scene.upload._on_data(body[150:])  # had been read when reading was paused
    scene.upload._on_end()
    assert leg.is_uploading
    scene.connect(leg)
    assert (scene.sent, leg.is_uploading) == (body.replace(b"public-name", b"m"), False)


# Pace.


def paced() -> tuple[Scene, FakeClient, UploadLeg]:
    scene = Scene(BINARY, "/files", length=None)
    return scene, scene.client, scene.pump("")


def test_body_is_not_read_before_the_connection_is_made() -> None:
    scene, client, leg = paced()
    assert client.is_body_paused
    client.upload(b"one")
    scene.connect(leg)
    assert (client.is_body_paused, scene.sent) == (False, b"one")


def test_slow_provider_pauses_the_client() -> None:
    scene, client, leg = paced()
    scene.connect(leg)
    scene.carrier.takes_more = False
    client.upload(b"one", b"two")
    assert (client.is_body_paused, scene.sent) == (True, b"one")
    scene.take_more(leg)
    assert (client.is_body_paused, scene.sent) == (False, b"onetwo")
    client.upload(ends=True)
    assert not leg.is_uploading


def test_end_of_the_body_follows_its_last_bytes() -> None:
    scene, client, leg = paced()
    scene.connect(leg)
    scene.carrier.takes_more = False
    client.upload(b"one", b"two", ends=True)
    assert leg.is_uploading
    scene.take_more(leg)
    assert (scene.sent, leg.is_uploading) == (b"onetwo", False)
