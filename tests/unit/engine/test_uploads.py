"""A body that is passed on as it arrives: whose it is, what changes in it, and its pace."""

from collections.abc import Callable
from time import monotonic

import pytest
from msgspec.structs import replace

from fakes.engine import FakeCarrier
from fakes.exchange import FakeClient, exchange_of, request_head
from fakes.origin import POST, Answer
from fakes.wire import asked
from pointsman.domain.failures import Failure, Refusal
from pointsman.engine.serving import Cancelled
from pointsman.engine.tasks import EagerTask
from pointsman.engine.uploads import Upload
from pointsman.transport.leg import UploadLeg
from pointsman.wire.multipart import MAX_PREFIX_BYTES

PURPOSE = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ntest\r\n'
FIELD = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\npublic-name\r\n'
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
END = b"\r\n--B--\r\n"
FORM = "multipart/form-data; boundary=B"
BINARY = "application/octet-stream"


class Scene:
    """An upload whose client and provider the test plays. `model` is what the form was found to name."""

    def __init__(
        self,
        content_type: str = FORM,
        path: str = "/audio/transcriptions",
        *,
        length: int | None = None,
        provider: str | None = None,
    ) -> None:
        exchange, self.client = exchange_of(request_head(target="/v1" + path), length=length)
        what = replace(asked(path, provider=provider), content_type=content_type)
        self.upload = Upload(exchange, what)
        self.model: str | None = None
        self.refusal: Failure | None = None
        self.broken_off: Failure | None = None
        self.carrier = FakeCarrier()
        EagerTask(self._find(), Cancelled).resume()

    async def _find(self) -> None:
        try:
            self.model = await self.upload.find_model()
        except Refusal as refusal:
            self.refusal = refusal.failure

    def pump(self, model: str) -> UploadLeg:
        """Send to a provider with which there is no connection yet."""
        leg = UploadLeg(POST, Answer(), monotonic() + 10, self.upload.length_for(model))
        self.upload.pump(leg, model, 60.0, self._break_off)
        return leg

    def _break_off(self, failure: Failure) -> None:
        self.broken_off = failure

    def connect(self, leg: UploadLeg) -> None:
        """The connection stands: the head is out, and bytes may be written."""
        self.carrier.uploaded = leg.message(b"")
        leg.carrier = self.carrier
        self.take_more(leg)

    def take_more(self, leg: UploadLeg) -> None:
        """The connection takes bytes again."""
        self.carrier.takes_more = True
        assert leg.on_writable is not None
        leg.on_writable()

    @property
    def sent(self) -> bytes:
        """The body as the provider has it."""
        head, _, rest = self.carrier.uploaded.partition(b"\r\n\r\n")
        if b"chunked" not in head:
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body


# Whose it is.


@pytest.mark.parametrize("cut", [1, 10, len(PURPOSE), len(PURPOSE + FIELD) - 3, len(PURPOSE + FIELD)])
def test_the_model_is_found_as_soon_as_its_field_is_whole(cut: int) -> None:
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
def test_what_no_form_with_a_model_is_asked_of_is_not_waited_for(scene: Callable[[], Scene]) -> None:
    assert scene().model == ""


@pytest.mark.parametrize("body", [FILE, PURPOSE + FILE, PURPOSE[:-2] + END])
def test_a_form_without_a_model_is_refused(body: bytes) -> None:
    scene = Scene()
    scene.client.upload(body, ends=True)
    assert scene.refusal is not None
    assert (scene.refusal.kind.code, scene.refusal.param) == ("invalid_request", "model")


def test_a_form_that_ends_in_the_middle_is_refused() -> None:
    scene = Scene()
    scene.client.upload(PURPOSE[:20], ends=True)
    assert scene.refusal is not None


def test_a_form_whose_model_does_not_come_is_not_collected_without_end() -> None:
    scene = Scene()
    scene.client.upload(b"--B\r\nContent-Disposition: form-data; name=x\r\n\r\n", b"x" * MAX_PREFIX_BYTES)
    assert scene.refusal is not None
    assert scene.client.is_body_paused


LONG_FILE = FILE + b"x" * (2 * MAX_PREFIX_BYTES)


@pytest.mark.parametrize("body", [FILE + END, PURPOSE[:-2] + END, LONG_FILE])
def test_with_a_provider_named_the_form_need_not_name_a_model(body: bytes) -> None:
    scene = Scene(provider="alpha")
    scene.client.upload(body, ends=body is not LONG_FILE)
    assert (scene.model, scene.refusal) == ("", None)


@pytest.mark.parametrize("body", [FIELD + FILE, PURPOSE + FILE + b"x\r\n" + FIELD + PURPOSE])
def test_with_a_provider_named_the_forms_model_is_still_read(body: bytes) -> None:
    scene = Scene(provider="alpha")
    scene.client.upload(body)
    assert scene.model == "public-name"


@pytest.mark.parametrize("body", [b"no form", FIELD + FIELD + FILE, FIELD.replace(b"model", b"Model") + FILE])
@pytest.mark.parametrize("provider", [None, "alpha"])
def test_what_is_no_plain_form_is_refused(body: bytes, provider: str | None) -> None:
    scene = Scene(provider=provider)
    scene.client.upload(body)
    assert scene.refusal is not None
    assert scene.model is None


# What spoils it on the way.


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
def test_a_form_that_is_not_what_was_decided_on_is_broken_off(start: bytes, rest: bytes, is_in_bytes: bool) -> None:
    scene = Scene(length=len(start + rest))
    scene.client.upload(start)
    leg = scene.pump("public-name")
    scene.connect(leg)
    scene.client.upload(*([bytes([byte]) for byte in rest] if is_in_bytes else [rest]), ends=True)
    assert scene.broken_off is not None
    assert scene.broken_off.kind.code == "invalid_request"
    assert len(start) - len(END) <= len(scene.sent) < len(start + rest), "the provider lacks its end"
    assert b"odel" not in scene.sent[len(PURPOSE) :]
    assert leg.is_uploading


def test_a_form_that_was_spoilt_before_it_was_sent_is_not_sent() -> None:
    scene = Scene()
    scene.client.upload(FIELD + FILE)
    scene.client.upload(b"\r\n" + FIELD)
    leg = scene.pump("m")
    assert scene.broken_off is not None
    assert leg.on_writable is None


def test_with_a_provider_named_a_model_that_comes_too_late_is_broken_off() -> None:
    scene = Scene(provider="alpha")
    scene.client.upload(LONG_FILE)
    assert scene.model == ""
    scene.connect(scene.pump(""))
    scene.client.upload(b"\r\n" + FIELD + END[2:], ends=True)
    assert scene.broken_off is not None
    assert scene.broken_off.param == "model"


# What changes in it.


@pytest.mark.parametrize("model", ["m", "a-longer/name-than-before", "größe"])
@pytest.mark.parametrize("is_sized", [True, False])
def test_the_models_name_is_the_only_change(model: str, is_sized: bool) -> None:
    body = PURPOSE + FIELD + FILE + b"public-name stays in the file" + END
    expected = body.replace(b"public-name", model.encode(), 1)
    scene = Scene(length=len(body) if is_sized else None)
    scene.client.upload(body[:150], body[150:180])
    assert scene.upload.length_for(model) == (len(expected) if is_sized else None)
    leg = scene.pump(model)
    scene.connect(leg)
    scene.client.upload(body[180:], ends=True)
    assert scene.sent == expected
    assert not leg.is_uploading, "the body is whole"


def test_a_body_without_a_model_is_not_touched() -> None:
    body = b"\x00\xffmodel" * 100
    scene = Scene(BINARY, "/files", length=len(body))
    assert scene.upload.length_for("ignored") == len(body)
    leg = scene.pump("ignored")
    scene.connect(leg)
    scene.client.upload(body, ends=True)
    assert (scene.sent, leg.is_uploading) == (body, False)


def test_a_body_that_is_there_before_the_connection_is_sent_whole() -> None:
    body = FIELD + FILE + END
    scene = Scene(length=len(body))
    scene.client.upload(body, ends=True)
    leg = scene.pump("m")
    scene.connect(leg)
    assert (scene.sent, leg.is_uploading) == (body.replace(b"public-name", b"m"), False)


def test_a_second_provider_gets_all_of_what_the_first_could_not_be_given() -> None:
    body = FIELD + FILE + END
    scene = Scene(length=len(body))
    scene.client.upload(body[:-3])
    assert scene.pump("first").is_uploading  # no connection comes about
    leg = scene.pump("second")
    scene.connect(leg)
    scene.client.upload(body[-3:], ends=True)
    assert scene.sent == body.replace(b"public-name", b"second")


def test_what_comes_and_ends_while_the_connection_is_made_keeps_its_place() -> None:
    body = FIELD + FILE + END
    scene = Scene(length=len(body))
    scene.client.upload(body[:150])
    leg = scene.pump("m")
    scene.upload._on_data(body[150:])  # was on its way already when reading was paused
    scene.upload._on_end()
    assert leg.is_uploading
    scene.connect(leg)
    assert (scene.sent, leg.is_uploading) == (body.replace(b"public-name", b"m"), False)


# Its pace.


def paced() -> tuple[Scene, FakeClient, UploadLeg]:
    scene = Scene(BINARY, "/files", length=None)
    return scene, scene.client, scene.pump("")


def test_nothing_is_read_until_the_connection_stands() -> None:
    scene, client, leg = paced()
    assert client.is_body_paused
    client.upload(b"one")
    scene.connect(leg)
    assert (client.is_body_paused, scene.sent) == (False, b"one")


def test_the_client_waits_for_a_slow_provider() -> None:
    scene, client, leg = paced()
    scene.connect(leg)
    scene.carrier.takes_more = False
    client.upload(b"one", b"two")
    assert (client.is_body_paused, scene.sent) == (True, b"one")
    scene.take_more(leg)
    assert (client.is_body_paused, scene.sent) == (False, b"onetwo")
    client.upload(ends=True)
    assert not leg.is_uploading


def test_the_clients_end_comes_behind_its_last_bytes() -> None:
    scene, client, leg = paced()
    scene.connect(leg)
    scene.carrier.takes_more = False
    client.upload(b"one", b"two", ends=True)
    assert leg.is_uploading
    scene.take_more(leg)
    assert (scene.sent, leg.is_uploading) == (b"onetwo", False)
