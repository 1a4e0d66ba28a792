"""What an engine rests on, as far as tests decide it: a log that keeps records, and the carrier of a leg."""

from msgspec import Struct

from pointsman.engine.record import RequestRecord
from pointsman.telemetry.log import LogWriter


class FakeLog(LogWriter):
    """Keeps the records of requests instead of writing them."""

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []
        self.dropped = 0

    def put(self, record: Struct) -> None:
        assert isinstance(record, RequestRecord)
        self.records.append(record)

    def close(self) -> None:
        pass


class FakeCarrier:
    """What a leg rests on. `calls` are those of the leg, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.uploaded = b""
        self.takes_more = True

    def watch(self) -> None:
        self.calls.append("watch")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def cancel(self) -> None:
        self.calls.append("cancel")

    def write_upload(self, data: bytes) -> bool:
        self.uploaded += data
        return self.takes_more
