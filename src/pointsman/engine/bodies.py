"""Keeps the bodies of requests and answers, if the configuration says so.

The event loop only notes them. A thread masks them and writes them to files of the folder `bodies`, which control
reads into the store. Nothing reaches the disk without its masks. If the thread or control falls behind, bodies are
dropped and counted; requests never wait.
"""

import logging
import os
import threading
from codecs import getincrementaldecoder
from collections import deque
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.json import Encoder

from pointsman.domain.bodies import FOLDER, BodyCapture, KeptBodies, Redaction
from pointsman.engine.copied_answer import AnswerCopy
from pointsman.wire.answer_parts import answer_parts

if TYPE_CHECKING:
    from pointsman.telemetry.masking import Masker

MOST_PENDING = 32 * 1024 * 1024  # bytes of bodies in memory
MOST_WAITING = 256 * 1024 * 1024  # bytes of files that control has not read
FILE_BYTES = 4 * 1024 * 1024
INTERVAL_S = 0.5
MARGIN = 4096  # bytes beyond a cut that are masked too, so that no part of a secret is left in front of it

_logger = logging.getLogger("pointsman")
_encode = Encoder().encode
_Utf8 = getincrementaldecoder("utf-8")


class NotedBodies(Struct, frozen=True, kw_only=True):
    """The bodies of one request, as they are."""

    capture: BodyCapture
    request_id: str
    at: float
    dialect: str
    is_stream: bool
    request: bytes | None
    request_bytes: int
    answer: AnswerCopy

    @property
    def size(self) -> int:
        return len(self.request or b"") + self.answer.kept


class BodyWriter:
    """Writes bodies to files of a folder in `data_dir`. `put` is cheap and never waits."""

    def __init__(self, data_dir: Path = Path()) -> None:
        self.data_dir = data_dir
        self._pending: deque[NotedBodies] = deque()
        self._bytes = 0  # of the bodies in memory; both threads change it
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._maskers: dict[Redaction, Masker] = {}
        self._number = 0
        self._has_failed = False
        self.kept = 0
        self.dropped = 0

    def put(self, noted: NotedBodies) -> None:
        """Take the bodies of a request that has ended, if there is room for them."""
        if self._bytes + noted.size > MOST_PENDING:
            self.dropped += 1
            return
        with self._lock:
            self._bytes += noted.size
        self._pending.append(noted)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what is noted, and stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        lines: list[bytes] = []
        size, began_at = 0, monotonic()
        while self._pending:
            noted = self._pending.popleft()
            with self._lock:
                self._bytes -= noted.size
            try:
                line = _encode(self._masked(noted))
            except Exception:  # of any kind: the others go on
                _logger.exception("the bodies of a request cannot be masked, so they are not kept")
                self.dropped += 1
                continue
            lines.append(line)
            size += len(line)
            if size > FILE_BYTES or monotonic() - began_at > 1:
                self._write_file(lines)
                lines, size, began_at = [], 0, monotonic()
        if lines:
            self._write_file(lines)

    def _masked(self, noted: NotedBodies) -> KeptBodies:
        masker, most = self._masker(noted.capture.redaction), noted.capture.max_bytes
        cut, unread = list[str](), list[str]()
        request = answer = ""
        if noted.request is None or not _is_text(noted.request):
            unread.append("request")
        else:
            is_cut = noted.request_bytes > most
            is_part = noted.request_bytes > len(noted.request)
            request = _shortened(masker.body(noted.request), most, is_part=is_part)
            cut += ["request"] if is_cut else []
        text, is_cut = _answer_text(noted)
        if text is None:
            unread.append("answer")
        else:
            masked = masker.body(text)
            answer = _shortened(masked, most, is_part=noted.answer.kept < noted.answer.size)
            is_cut = is_cut or len(answer) < len(masked)
            cut += ["answer"] if is_cut else []
        return KeptBodies(
            request_id=noted.request_id,
            at=noted.at,
            request=request,
            answer=answer,
            request_bytes=noted.request_bytes,
            answer_bytes=noted.answer.size,
            cut=tuple(cut),
            unread=tuple(unread),
        )

    def _masker(self, redaction: Redaction) -> "Masker":
        found = self._maskers.get(redaction)
        if found is None:
            from pointsman.telemetry.masking import Masker  # noqa: PLC0415 -- few workers need its library

            found = Masker(redaction.kinds, dict(redaction.patterns), redaction.fields)
            self._maskers = {redaction: found}
        return found

    def _write_file(self, lines: list[bytes]) -> None:
        """Write a file under another name first, because control reads all that are complete."""
        data = b"".join(line + b"\n" for line in lines)
        self._number += 1
        name = f"{time():.6f}-{os.getpid()}-{self._number}"
        folder = self.data_dir / FOLDER
        path = folder / f"{name}.part"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_room(folder, len(data))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            path.replace(folder / f"{name}.jsonl")
        except OSError as error:
            self.dropped += len(lines)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if not self._has_failed:
                _logger.error("bodies cannot be written to %s, and are dropped: %s", folder, error.strerror)  # noqa: TRY400
            self._has_failed = True
        else:
            self.kept += len(lines)
            self._has_failed = False


def _check_room(folder: Path, size: int) -> None:
    """Raise `OSError` if there are too many files already."""
    waiting = sum(one.stat().st_size for one in os.scandir(folder))
    if waiting + size > MOST_WAITING:
        raise OSError(0, "control does not read the files in it")


def _answer_text(noted: NotedBodies) -> tuple[bytes | None, bool]:
    """Return the text of an answer, and whether its end is missing. A stream becomes one text, so that no secret is
    divided among its events."""
    copy = noted.answer
    body, is_cut = copy.beginning, copy.size > 0 and (not copy.is_whole or copy.kept < copy.size)
    if not noted.is_stream or not body:
        return (body if _is_text(body) else None), is_cut
    events = body if not is_cut else body[: body.rfind(b"\n\n") + 2]
    parts = answer_parts(noted.dialect, events, stream=True)
    if parts is None:
        return None, is_cut
    return parts.encoded(), is_cut


def _shortened(text: str, most: int, *, is_part: bool) -> str:
    """Return the beginning of a masked text with at most `most` bytes. If it `is_part` of a longer one, a secret may
    have been divided at its end, so that no pattern found it: the end is left out."""
    data = text.encode("utf-8", "replace")
    return data[: max(0, min(most, len(data) - MARGIN if is_part else most))].decode("utf-8", "ignore")


def _is_text(data: bytes) -> bool:
    """Return whether the beginning of a body is UTF-8, as JSON is, and audio and images are not."""
    try:
        _Utf8().decode(data)
    except UnicodeDecodeError:
        return False
    return True
