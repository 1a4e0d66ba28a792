"""Answers the inquiries of the admin process."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import time

import msgspec
from msgspec import Struct

from pointsman.config.snapshot_file import Compiled
from pointsman.control.configuration import Configuration
from pointsman.control.explanations import explain
from pointsman.control.ingest import Ingest
from pointsman.control.inquiries import (
    AnyInquiry,
    BudgetInquiry,
    ControlState,
    ExplainInquiry,
    ExportInquiry,
    HoldOutcome,
    LimitInquiry,
    LimitState,
    NameInquiry,
    PageInquiry,
    PlaceHold,
    Reconcile,
    ReconcileOutcome,
    ReleaseHold,
    Reload,
    ReloadOutcome,
    VariantInquiry,
    WorkerPage,
    WorkerState,
)
from pointsman.control.lease_server import LeaseServer
from pointsman.control.store.database import StoreError
from pointsman.control.variants import targets_of
from pointsman.domain.holds import problem_with
from pointsman.domain.identity import key_named
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import has_canaries, limits_to_list
from pointsman.link.frames import FromControl, Inquiry, Reply
from pointsman.money.leases import LeaseTable, Spent
from pointsman.telemetry.process import process_use

AT_ONCE = 200  # windows checked, or items sent, before the event loop serves the workers again

_INQUIRY = msgspec.msgpack.Decoder(AnyInquiry)
_ENCODER = msgspec.msgpack.Encoder()
_logger = logging.getLogger(__name__)


class _PostedAmounts(Struct, frozen=True):
    """The used amounts of limits at control: what is stored. Spending of the last moment is not."""

    leases: LeaseTable

    def used(self, limit: Limit, unix_s: float) -> int | None:
        return self.leases.spent_in((limit.counter, limit.period.window(unix_s)[0])).posted


class InquiryHandler(Struct, eq=False, frozen=True):
    """The parts of the control process that answer the admin process."""

    lease_table: LeaseTable
    ingest: Ingest
    lease_server: LeaseServer
    configuration: Configuration

    async def answer(self, inquiry: Inquiry, send: Callable[[FromControl], None]) -> None:
        """Send the answer, in parts."""
        number = inquiry.number
        try:
            items = await self._items(_INQUIRY.decode(inquiry.body))
        except Exception:  # the admin process must not wait for an answer
            _logger.exception("cannot answer an inquiry of the admin process")
            send(Reply(number, b"", True, "the control process failed to answer; its log says why"))
            return
        for first in range(0, len(items) or 1, AT_ONCE):
            part = _ENCODER.encode(items[first : first + AT_ONCE])
            send(Reply(number, part, first + AT_ONCE >= len(items)))
            await asyncio.sleep(0)

    async def _items(self, inquiry: AnyInquiry) -> Sequence[object]:
        if isinstance(inquiry, BudgetInquiry):
            return await self._budgets(inquiry)
        if isinstance(inquiry, LimitInquiry):
            return await self._limits(inquiry.most)
        if isinstance(inquiry, PageInquiry):
            pages = await self.lease_server.metrics(inquiry.within_s)
            return [WorkerPage(epoch, page) for epoch, page in pages.items()]
        if isinstance(inquiry, NameInquiry):
            current = self.configuration.current
            return [kind for kind, name in inquiry.names.items() if not is_configured(current, kind, name)]
        if isinstance(inquiry, ExportInquiry):
            return self.configuration.export_settings()
        if isinstance(inquiry, VariantInquiry):
            return targets_of(self.configuration.current.snapshot, inquiry.model)
        if isinstance(inquiry, Reconcile):
            try:
                return [ReconcileOutcome(await self.ingest.reconcile(inquiry.amounts))]
            except StoreError as error:
                return [ReconcileOutcome({}, str(error))]
        if isinstance(inquiry, Reload):
            return [ReloadOutcome(*await self.configuration.reload(), self.configuration.digest)]
        if isinstance(inquiry, PlaceHold | ReleaseHold):
            return [await self._hold(inquiry)]
        if isinstance(inquiry, ExplainInquiry):
            snapshot, holds = self.configuration.current.snapshot, self.lease_server.holds.present() or ()
            amounts = _PostedAmounts(self.lease_table)
            return [await explain(inquiry.question, snapshot, self.ingest.store, amounts, holds=holds)]
        return [self._state()]

    async def _hold(self, inquiry: PlaceHold | ReleaseHold) -> HoldOutcome:
        holds = self.lease_server.holds
        try:
            if isinstance(inquiry, PlaceHold):
                problem = problem_with(inquiry.hold.name, self.configuration.current.snapshot)
                if problem is not None:
                    return HoldOutcome(problem, "not_found")
                if not await holds.place(inquiry.hold):
                    return HoldOutcome("there are too many holds already; release some of them", "too_many_holds")
            elif not await holds.release(inquiry.name):
                return HoldOutcome(f"there is no hold on {inquiry.name!r}", "not_found")
        except StoreError as error:
            return HoldOutcome(str(error))
        return HoldOutcome()

    def _state(self) -> ControlState:
        state, configuration = self.ingest.state, self.configuration
        workers = [
            WorkerState(one.hello.slot, one.hello.epoch, one.hello.pid, one.digest, one.is_draining)
            for one in self.lease_server.workers
            if one.hello is not None
        ]
        return ControlState(
            digest=configuration.digest,
            config_refused=configuration.rejected or [],
            workers=sorted(workers, key=lambda one: (one.slot, one.epoch)),
            store="ok" if state.problem is None else state.problem,
            commits=state.commits,
            records=state.records,
            journal_damage=state.damage,
            refused_records=state.rejected,
            backlog_bytes=self.ingest.backlog_bytes(),
            caught_up_s=max(0.0, time() - state.caught_up_at) if state.caught_up_at else None,
            taken_at=configuration.taken_at,
            reloads=configuration.reloads,
            refusals=configuration.rejections,
            has_canaries=has_canaries(configuration.current.snapshot),
            holds=self.lease_server.holds.present() or [],
            use=process_use(),
        )

    async def _budgets(self, inquiry: BudgetInquiry) -> list[LimitState]:
        """Return used windows first, then those of unused limits."""
        now, owner = time(), inquiry.owner
        found: list[LimitState] = []
        current: set[tuple[str, int]] = set()
        for number, name in enumerate(self.lease_table.names(owner)):
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            one = _limit_state(self.lease_table.spent_in(name))
            if inquiry.past or one.window_end is None or one.window_end > now:
                found.append(one)
                current.add(name)
                if len(found) >= inquiry.most:
                    return found
        for number, (counter, limit) in enumerate(self.lease_table.limits.items()):  # limits without any use
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            name = counter, limit.period.window(now)[0]
            if name not in current and (owner is None or limit.owner == owner):
                found.append(_limit_state(Spent(*name, 0, 0, limit)))
                if len(found) >= inquiry.most:
                    break
        return found

    async def _limits(self, most: int) -> list[LimitState]:
        now = time()
        found: list[LimitState] = []
        for limit in limits_to_list(self.configuration.current.snapshot, most):
            found.append(_limit_state(self.lease_table.spent_in((limit.counter, limit.period.window(now)[0]))))
            if len(found) % AT_ONCE == 0:
                await asyncio.sleep(0)
        return found


def _limit_state(spent: Spent) -> LimitState:
    owner, metric, period = spent.counter.rsplit("|", 2)
    limit = spent.limit
    return LimitState(
        owner=owner,
        metric=metric,
        period=period,
        window_start=spent.window,
        window_end=limit.period.window(spent.window)[1] if limit is not None else None,
        limit=limit.amount if limit is not None else None,
        soft=limit is not None and limit.soft,
        posted=spent.posted,
        lent=spent.leased,
    )


def is_configured(compiled: Compiled, kind: str, name: str) -> bool:
    """Return whether the configuration or the catalog has an item of this kind and name. Kinds are columns of the
    store, or `asked`: a model as clients request it."""
    snapshot = compiled.snapshot
    if kind == "virtual_key":
        return key_named(snapshot.virtual_keys, name) is not None
    if kind in ("team", "customer"):
        return f"{kind}:{name}" in compiled.owners
    if kind == "provider":
        return name in snapshot.endpoints
    candidates = [one for model in snapshot.models.values() for one in (*model.targets, *model.fallbacks)]
    if kind == "variant":
        return any(one.variant == name for one in candidates)
    catalog = snapshot.pricing.catalog
    if kind == "model":
        served = any(catalog.find(endpoint.catalog, name) is not None for endpoint in snapshot.endpoints.values())
        return served or any(one.model == name for one in candidates)
    if kind == "asked":
        provider, _, model = name.partition("/")
        is_pinned = provider in snapshot.endpoints and is_configured(compiled, "model", model)
        return name in snapshot.models or is_pinned or catalog.name_of(name) is not None
    return False
