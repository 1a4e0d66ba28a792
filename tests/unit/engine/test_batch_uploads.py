"""The relay of a file: one for a batch waits for its first line, and is sent in chunks; others pass unread."""

from typing import cast

import pytest

from fakes.exchange import exchange_of, request_head
from fakes.wire import parsed_head
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Rejection
from pointsman.engine.batch_uploads import FileRelay, relay_for
from pointsman.engine.heads import AdmittedHead
from pointsman.engine.tasks import Cancelled, EagerTask
from pointsman.engine.uploads import UploadRelay
from pointsman.wire.forms import file_form_reader

FORM = "multipart/form-data; boundary=B"
PURPOSE = b'--B\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n%b\r\n'
FILE = b'--B\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
FIRST = b'{"body": {"model": "small"}}'


class Scene:
    """A relay, and what it found."""

    def __init__(self, *pieces: bytes, ends: bool = False, most_held: int = 1000) -> None:
        exchange, client = exchange_of(request_head(target="/v1/files"), length=5000)
        parsed = parsed_head("/files", content_type=FORM)
        form = file_form_reader(parsed, finds_state=False)
        assert form is not None
        self.relay = FileRelay(exchange, parsed, most_held, form)
        self.call: Call | None = None
        self.rejection: Failure | None = None
        EagerTask(self._find(), Cancelled).resume()
        client.upload(*pieces, ends=ends)

    async def _find(self) -> None:
        try:
            self.call = await self.relay.find_call()
        except Rejection as rejection:
            self.rejection = rejection.failure


def test_first_line_of_a_batch_names_the_model() -> None:
    scene = Scene(PURPOSE % b"batch", FILE, FIRST)
    assert scene.call is None, "the line is not whole"
    scene = Scene(PURPOSE % b"batch", FILE, FIRST + b"\n")
    assert scene.call is not None
    assert (scene.call.model, scene.call.operation) == ("small", "file")
    assert scene.relay.length_for("other") is None, "the length of translated lines is not known"
    assert scene.relay.whole(scene.call) is None
    assert scene.relay.note() == ""


def test_any_other_file_names_no_model_and_keeps_its_length() -> None:
    scene = Scene(PURPOSE % b"user_data", FILE, FIRST)
    assert scene.call is not None
    assert (scene.call.model, scene.relay.length_for("other")) == ("", 5000)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((FILE, b"x" * 2000), "line 1: it does not end within the first 1000 bytes of the form, which routing.commit_"),
        ((FILE, b"{}\n"), "line 1: it names no model"),
    ],
)
def test_unreadable_first_line_is_rejected(pieces: tuple[bytes, ...], message: str) -> None:
    scene = Scene(PURPOSE % b"batch", *pieces)
    assert scene.rejection is not None
    assert scene.rejection.message.startswith(message)


def test_only_forms_that_upload_files_are_read() -> None:
    for path, content_type, expected in (
        ("/files", FORM, FileRelay),
        ("/files", "application/octet-stream", UploadRelay),
        ("/uploads/u/parts", FORM, UploadRelay),
    ):
        exchange, _ = exchange_of(request_head(target="/v1" + path), length=10)
        parsed = parsed_head(path, content_type=content_type)
        entry = cast("AdmittedHead", type("Entry", (), {"snapshot": parsed.snapshot, "parsed": parsed}))
        assert type(relay_for(exchange, entry)) is expected
