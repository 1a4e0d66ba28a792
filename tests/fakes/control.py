"""A control plane in this process: a store in a folder or at an address, a journal to write to, and the API."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
from msgspec import Struct

from fakes.clock import PATIENCE_S
from fakes.configuration import accept
from pointsman.admin.app import make_app
from pointsman.admin.auth import AdminToken
from pointsman.admin.services import Services
from pointsman.config.live_keys import open_for_writing
from pointsman.config.overrides import DATA_DIR
from pointsman.config.snapshot_file import Compiled, read_snapshot
from pointsman.control.configuration import Configuration
from pointsman.control.ingest import Ingest
from pointsman.control.inquiry_handler import InquiryHandler
from pointsman.control.lease_server import LeaseServer
from pointsman.control.parts import ControlParts
from pointsman.control.store.database import store_url
from pointsman.control.store.reports import Reports
from pointsman.control.store.store import Store
from pointsman.control.variants import splits_of
from pointsman.domain.audit import Actor
from pointsman.domain.snapshots import counters_of
from pointsman.journal.records import ChargeScope, CounterRef, Outcome
from pointsman.journal.writer import JournalWriter
from pointsman.link.frames import FromControl, Inquiry, Reply
from pointsman.link.inquirer import AwayError, Inquirer, Item
from pointsman.money.leases import LeaseTable

TOKEN = "pm-admin-token-of-the-tests"
ENVIRON = {"OPENAI_API_KEY": "sk-of-the-tests", "ME": "pm-key-of-the-tests-me", "YOU": "pm-key-of-the-tests-you"}
CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {budgets: [{limit_usd: 100, per: month}]}}
  virtual_keys: {me: {value: env.ME, team: research, budgets: [{limit_usd: 5, per: day}]}}
"""
# Two teams with a virtual key each.
TWO_TEAMS = """\
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams:
    research: {budgets: [{limit_usd: 100, per: month}]}
    other: {budgets: [{limit_usd: 1, per: day}]}
  virtual_keys:
    me: {value: env.ME, team: research, budgets: [{limit_usd: 5, per: day}]}
    you: {value: env.YOU, team: other}
"""
DAY_COUNTER = "virtual_key:me|usd|day"


def scope(number: int = 1, **fields: Any) -> ChargeScope:
    counters = (
        CounterRef(counter=DAY_COUNTER, metric="usd", unit="day"),
        CounterRef(counter="team:research|usd|month", metric="usd", unit="month"),
        CounterRef(counter="virtual_key:me|requests|minute", metric="requests", unit="minute"),
        CounterRef(
            counter="provider:openai|requests|minute",
            metric="requests",
            unit="minute",
            count=1,
            zone="",
            counts_attempts=True,
        ),
        CounterRef(counter="virtual_key:me|tokens|hour", metric="tokens", unit="hour"),
    )
    defaults = {"virtual_key": "me", "team": "research", "customer": "acme", "provider": "openai", "model": "gpt-4o"}
    values: dict[str, Any] = {**defaults, "variant": None, "counters": counters, **fields}
    return ChargeScope(number=number, **values)


def request_id(number: int, at: float) -> str:
    return str(UUID(int=(int(at * 1000) << 80) | (7 << 76) | (2 << 62) | number))


def record(id_: str, at: float, **fields: Any) -> bytes:
    """Build a line of the request log."""
    attempt = {
        "provider": "openai", "model": "gpt-4o", "key": "default", "outcome": "ok", "status": 200, "start_us": 100,
        "duration_us": 2000, "cost_nano": 70, "usage_source": "reported", "tokens_in": 10, "tokens_out": 5,
    }  # fmt: skip
    defaults = {
        "event": "request", "time": at, "request_id": id_, "method": "POST", "path": "/v1/chat/completions",
        "operation": "chat", "status": 200, "duration_us": 2500, "gateway_us": 200, "stream": False,
        "virtual_key": "me", "team": "research", "model": "chat", "strategy": "priority", "provider": "openai",
        "upstream_model": "gpt-4o", "tokens_in": 10, "tokens_out": 5, "attempts": [attempt], "cost_nano": 70,
        "verdicts": ["groq/llama: is excluded by the key"],
    }  # fmt: skip
    return json.dumps({**defaults, **fields}).encode()


def write_request(
    writer: JournalWriter, number: int, at: float, of: ChargeScope | None = None, nano: int = 70, **fields: Any
) -> str:
    """Write one request with one attempt: 10 tokens in, 5 out."""
    of = of or scope()
    id_ = request_id(number, at)
    writer.intent(of, id_, 1, at, 1000, 100)
    writer.store(of, Outcome(of.number, id_, 1, at + 0.1, nano, 10, 5, 0, 0, "ok", "reported"))
    writer.request(record(id_, at, cost_nano=nano, virtual_key=of.virtual_key, **fields))
    return id_


def write_estimated(writer: JournalWriter, number: int, at: float, of: ChargeScope, nano: int, most: int) -> str:
    """Write one request whose client disconnected: estimated at `nano`, with `most` held by limits."""
    id_ = request_id(number, at)
    writer.intent(of, id_, 1, at, most, 100)
    ending = ("client_disconnected", "estimated", True, 100, nano)
    writer.store(of, Outcome(of.number, id_, 1, at + 0.1, most, 10, 5, 0, 0, *ending))
    attempt = {"provider": "openai", "model": "gpt-4o", "key": "k", "outcome": "client_disconnected", "cost_nano": nano}
    attempt |= {"usage_source": "estimated", "held_nano": most - nano, "start_us": 100, "duration_us": 2000}
    writer.request(record(id_, at, cost_nano=nano, estimated_nano=nano, attempts=[attempt], tags={"env": "dev"}))
    return id_


class ControlPlane:
    """The parts of control (`inquiry_handler`) and of admin (`services`), and the journal of a live worker
    (`writer`)."""

    def __init__(
        self, inquiry_handler: InquiryHandler, services: Services, writer: JournalWriter, client: httpx.AsyncClient
    ) -> None:
        self.inquiry_handler = inquiry_handler
        self.services = services
        self.writer = writer
        self.client = client

    def write(self, number: int, at: float | None = None, of: ChargeScope | None = None, **fields: Any) -> str:
        return write_request(self.writer, number, time.time() if at is None else at, of, **fields)

    async def ingest(self) -> None:
        while not await self.inquiry_handler.parts.ingest.step():
            pass
        assert self.inquiry_handler.parts.ingest.state.problem is None, self.inquiry_handler.parts.ingest.state.problem

    async def get(self, path: str, *, token: str | None = TOKEN, **parameters: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        return await self.client.get(path, params=parameters, headers=headers)

    async def data(self, path: str, **parameters: Any) -> Any:
        """Return the answer to a request that must succeed."""
        answer = await self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


class LocalInquirer(Inquirer):
    """Passes the inquiries of admin to control in this process, without a socket."""

    def __init__(self, inquiry_handler: InquiryHandler) -> None:
        super().__init__("")
        self.inquiry_handler = inquiry_handler

    async def ask_for(
        self,
        actor: Actor,
        inquiry: Struct,
        item: type[Item],
        within_s: float = 0.0,
    ) -> list[Item]:
        items: list[Item] = []

        def take(frame: FromControl) -> None:
            assert isinstance(frame, Reply)
            if frame.failure is not None:
                raise AwayError(frame.failure)
            items.extend(msgspec.msgpack.decode(frame.items, type=list[item]))  # type: ignore[valid-type]

        await self.inquiry_handler.answer(Inquiry(1, msgspec.msgpack.encode(inquiry), actor), take)
        return items


def services_in(folder: Path, url: str | None = None, config: str = CONFIG) -> Services:
    """Build the services of an admin process, whose control is in this process."""
    reports = Reports.of(store_url(url, folder))
    token = AdminToken(sha256(TOKEN.encode()).digest())
    return Services(control=LocalInquirer(desk_in(folder, url, config)), store=reports, token=token)


def desk_in(folder: Path, url: str | None = None, config: str = CONFIG) -> InquiryHandler:
    """Build the parts of a control process, over a configuration file in `folder`."""
    file, snapshot = folder / "pointsman.yaml", folder / "snapshot"
    file.write_text(config)
    environ = {**ENVIRON, DATA_DIR: str(folder)}
    open_for_writing(folder).close()
    accept(snapshot, config, environ)
    book = LeaseTable(1)

    async def open_store() -> Store:
        return await Store.open(store_url(url, folder))

    def on_new(compiled: Compiled) -> None:
        book.configure(counters_of(compiled.snapshot))
        ingest.splits = splits_of(compiled.snapshot)

    ingest = Ingest(folder / "journal", book, open_store, lambda _: None)
    lease_client = LeaseServer(book, ingest, lambda: (str(snapshot), configuration.digest))
    configuration = Configuration(
        snapshot, file, on_new, lease_client.distribute, public_is_loopback=True, environ=environ
    )
    on_new(read_snapshot(snapshot, environ))
    inquiry_handler = InquiryHandler(ControlParts.of(book, ingest, lease_client, configuration))
    lease_client.on_inquiry = inquiry_handler.answer
    return inquiry_handler


@asynccontextmanager
async def control_plane(
    folder: Path,
    url: str | None = None,
    hosts: frozenset[str] = frozenset(),
    config: str = CONFIG,
    *,
    is_read: bool = True,
) -> AsyncIterator[ControlPlane]:
    services = services_in(folder, url, config)
    assert isinstance(services.control, LocalInquirer)
    inquiry_handler = services.control.inquiry_handler
    writer = JournalWriter(folder / "journal", 0, time.time_ns(), segment_bytes=1 << 20)
    transport = httpx.ASGITransport(make_app(services, hosts))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        plane = ControlPlane(inquiry_handler, services, writer, client)
        if is_read:
            await plane.ingest()
        try:
            yield plane
        finally:
            if not writer._is_closed:
                writer.close()
            await inquiry_handler.parts.keys.close()
            await inquiry_handler.parts.ingest.finish(PATIENCE_S)
            inquiry_handler.parts.lease_server.close()
            await services.store.close()
