"""The form of an uploaded file, of which only a file for a batch is read. Its lines pass through a function that may
change them; any other file passes unread.

The decision on the upload depends on the first line, since its model names the providers. So nothing of the file is
read before. A form whose purpose follows its file passes unread too, as does one that cannot be parsed: the gateway
then knows no cost of a batch of it.
"""

from collections import deque
from collections.abc import Callable

from pointsman.domain.failures import Rejection
from pointsman.wire.batches import MAX_LINE_BYTES, PURPOSE, LineCutter, at_line, model_in
from pointsman.wire.json_object import rejection
from pointsman.wire.multipart import FormReader

SLICE_BYTES = 16 * 1024  # of lines that are read at once: the caller serves others in between

TakeLine = Callable[[int, bytes], bytes]


class BatchFormReader(FormReader):
    """Takes a form piece by piece. `is_batch` says that its lines are read, `is_behind` that `feed` has more to return
    without any further data. `take_line` gets the number and the text of each line, and returns the bytes to pass on.
    It may raise `Rejection`."""

    def __init__(self, boundary: bytes, *, finds_state: bool) -> None:
        super().__init__(boundary, frozenset({"purpose"}), finds_state=finds_state)
        self.is_batch = self.is_behind = False
        self.take_line: TakeLine | None = None
        self._is_passed = False  # the rest passes unread
        self._cutter = LineCutter()
        self._waiting: deque[tuple[bytes, bool]] = deque()  # to be passed on: lines of the file, and the rest
        self._number = 0  # of the last line
        self._line_at = self._searched = 0  # in what is held: a line begins, and has no end before

    def is_settled(self) -> bool:
        """Return whether the form can be decided on: it passes unread, or its first line is known."""
        return self._is_passed or self.first_line() is not None

    def first_line(self) -> bytes | None:
        """Return the first line of the file, once it is whole; empty for a file without any."""
        if not self._is_at_lines():
            return None
        held, delimiter = self._held, self._delimiter
        while True:
            end = held.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(held)  # no byte is searched twice, since a line may be long
                return None
            line, after = bytes(held[self._line_at : end]), end + 1
            if line.strip():
                return line
            if held.startswith(delimiter, after):
                return b""
            if delimiter.startswith(bytes(held[after : after + len(delimiter)])):
                return None  # the rest of the delimiter may follow
            self._line_at = self._searched = after

    def first_model(self, *, has_ended: bool, most_held: int) -> str:
        """Return the model of the first line; empty for an empty file. `most_held` bytes of the form may be held.
        Raises `Rejection`."""
        first = self.first_line()
        if first is None:
            problem = "the form ends within it; send whole lines of JSON"
            if not has_ended:
                held = f"the first {most_held} bytes of the form, which routing.commit_buffer holds"
                problem = f"it does not end within {held}; put a shorter line first, or raise the setting"
            raise at_line(1, rejection(problem))
        model = model_in(first)
        if first and not model:
            raise at_line(1, rejection("it names no model; a line has custom_id, method, url and body"))
        return model

    def feed(self, data: bytes) -> bytes:
        """Take `data`, and return the bytes that may be passed on. Raises `Rejection`."""
        if self._is_passed:
            return data
        self._held += data
        if self._is_decided:
            return self._read_slice()
        at = 0
        try:
            while not self._is_at_lines() and (then := self._read(at)) is not None:
                at = then
                purpose = self.fields.get("purpose")
                if (purpose is not None and purpose.value != PURPOSE) or (purpose is None and self._is_in_file()):
                    return self.pass_on()
        except Rejection:
            return self.pass_on()
        self.is_batch = "purpose" in self.fields
        understood = bytes(self._held[:at])
        del self._held[:at]
        self._offset += at
        return understood

    def end(self) -> None:
        if not self._is_passed:
            super().end()

    def _is_in_file(self) -> bool:
        return self._phase == "content" and self._is_file

    def _is_at_lines(self) -> bool:
        return self._is_in_file() and not self._is_decided and "purpose" in self.fields

    def pass_on(self) -> bytes:
        """Let the rest of the form pass unread. Return what is held of it."""
        self._is_passed = True
        whole, self._held = bytes(self._held), bytearray()
        return whole

    def _read_slice(self) -> bytes:
        """Read what is held, and return a part of it to pass on. Raises `Rejection`."""
        self._read_held()
        out, size, waiting = bytearray(), 0, self._waiting
        while waiting and size < SLICE_BYTES:
            data, is_line = waiting.popleft()
            size += len(data)
            out += self._take(data) if is_line else data
        self.is_behind = bool(waiting)
        return bytes(out)

    def _read_held(self) -> None:
        at, held, waiting = 0, self._held, self._waiting
        while True:
            is_of_file = self._is_in_file()
            then = self._read(at)
            if then is None:
                break
            if self.files > 1:
                raise rejection("the form has two files; send one file for a batch", "file")
            data = bytes(held[at:then])
            if is_of_file:
                waiting += [(line, True) for line in self._cut(data, is_last=not self._is_in_file())]
            else:
                waiting.append((data, False))
            at = then
        del held[:at]
        self._offset += at

    def _cut(self, data: bytes, *, is_last: bool) -> list[bytes]:
        try:
            lines = self._cutter.feed(data)
        except ValueError:
            raise rejection(f"a line of the file is longer than {MAX_LINE_BYTES} bytes; split its request") from None
        return lines + self._cutter.end() if is_last else lines

    def _take(self, line: bytes) -> bytes:
        assert self.take_line is not None
        self._number += 1
        try:
            return self.take_line(self._number, line)
        except Rejection as error:
            raise at_line(self._number, error) from None
