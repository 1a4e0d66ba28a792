"""Stored requests as messages of one signal."""

from msgspec.structs import replace

from fakes.collector import attributes, collecting
from fakes.control import record, request_id
from fakes.export import SETTINGS
from fakes.origin import run
from pointsman.admin.delivery import Sent
from pointsman.admin.export.outlet import SignalOutlet
from pointsman.admin.export.sender import Sender
from pointsman.admin.export.spans import log_request
from pointsman.admin.following import Message


def test_records_of_another_version_are_left_out() -> None:
    async def main() -> None:
        with collecting() as collector:
            settings = replace(SETTINGS, port=collector.port, signals=("logs",))
            outlet = SignalOutlet(Sender(settings, "logs"), lambda records: log_request(records, settings))
            await outlet.test()
            body, count = outlet.encode([record(request_id(1, 1.7e9), 1.7e9), b'{"event":"other"}'])
            assert count == 1
            assert await outlet.send(Message("1-2", 1.7e9, body, count)) == Sent("accepted")
            await outlet.close()
        (found,) = [attributes(one)["pointsman.request.id"] for one in collector.logs]
        assert found == request_id(1, 1.7e9)

    run(main())
