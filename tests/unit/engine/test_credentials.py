"""Credentials that are fetched: no request waits for a renewal, and old values are used until they end."""

import asyncio
import pwd
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.origin import run
from fakes.routing import endpoint, snapshot
from fakes.tokens import NOW
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Scope
from pointsman.domain.network import Network
from pointsman.domain.origin import AccessToken, EntraSource, Origin, Secret, Source, secret_of
from pointsman.domain.targets import Endpoint, ProviderKey
from pointsman.engine import credentials
from pointsman.engine.credentials import Credentials, Found, wait_after_failures, wait_before_renewal
from pointsman.engine.sources.exchange import Machine, Minted, RefusedError, UnavailableError
from pointsman.engine.upstreams import Upstreams
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_client import HttpClient

SECRET = "a-very-secret-secret"
LIFE_S = 3600.0


def entra(tenant: str = "t") -> EntraSource:
    return EntraSource(
        tenant=tenant, client_id="c", client_secret=Secret(SECRET), authority="https://login.test", scope="s"
    )


class Rig:
    """Credentials with a clock and a token service that the test controls. Each call of the service waits for an entry
    of `results`: a token, or an exception."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = NOW
        self.life_s = LIFE_S
        self.calls = 0
        self.results: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.deadlines = Deadlines(loop)
        self.credentials = Credentials(self.mint, lambda: self.now)
        self.credentials.upstreams = Upstreams(loop, self.deadlines)
        self.key = ProviderKey("k", entra())
        self.endpoint = replace(endpoint("alpha"), keys=(self.key,))
        self.credentials.swap(snapshot([self.endpoint]))

    async def mint(self, source: Source, machine: Machine) -> Minted:
        self.calls += 1
        result = await self.results.get()
        if isinstance(result, Exception):
            raise result
        return Minted(AccessToken(result), machine.clock() + self.life_s)

    def ask(self, key: ProviderKey | None = None, patience_s: float = 60.0) -> list[Found]:
        """Use a key. The list is empty as long as the request waits."""
        found: list[Found] = []
        self.credentials.use(self.endpoint, key or self.key, patience_s, found.append)
        return found

    def token(self) -> str:
        """Return the token that a request gets, which must not wait."""
        (found,) = self.ask()
        assert isinstance(found, ProviderKey)
        return secret_of(found.credential).reveal()

    def failure(self) -> Failure:
        (found,) = self.ask()
        assert isinstance(found, Failure)
        return found

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.001)

    async def give(self, result: str | Exception) -> None:
        """Answer the pending call of the service, and wait until the answer counts."""
        await self.until(lambda: self.calls)
        before = self.calls
        self.results.put_nowait(result)
        await self.until(self.results.empty)
        for _ in range(5):
            await asyncio.sleep(0)
        assert self.calls == before


def on_rig(main: Callable[[Rig], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `main` on a new rig, on which the clock is read every millisecond."""
    monkeypatch.setattr(credentials, "LOOK_S", 0.001)

    async def inside() -> None:
        rig = Rig()
        try:
            await main(rig)
        finally:
            rig.credentials.close()
            rig.deadlines.close()
            await asyncio.sleep(0)

    run(inside())


def test_concrete_credential_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        key = ProviderKey("plain", Secret("sk"))
        assert rig.ask(key) == [key]
        assert rig.calls == 0

    on_rig(main, monkeypatch)


def test_first_requests_wait_for_the_first_token_and_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        waiting = [rig.ask(), rig.ask()]
        await rig.until(lambda: rig.calls)
        assert waiting == [[], []]
        await rig.give("one")
        (first,), (second,) = waiting
        assert isinstance(first, ProviderKey)
        assert secret_of(first.credential) == Secret("one")
        (third,) = rig.ask()
        assert second is third, "the heads that codecs keep with the key are reused"
        assert first.cached_heads is not rig.key.cached_heads
        assert rig.calls == 1

    on_rig(main, monkeypatch)


def test_no_request_waits_for_a_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give("one")
        rig.now += LIFE_S * 0.81
        await rig.until(lambda: rig.calls == 2)  # and the service does not answer
        assert {rig.token() for _ in range(1000)} == {"one"}
        await rig.give("two")
        assert {rig.token() for _ in range(1000)} == {"two"}
        assert rig.calls == 2

    on_rig(main, monkeypatch)


def test_token_is_used_until_it_ends_while_the_service_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give("one")
        rig.now += LIFE_S * 0.9
        await rig.until(lambda: rig.calls == 2)
        await rig.give(UnavailableError(failures.CONNECT_FAILED, "could not open a connection"))
        assert rig.token() == "one"
        rig.now += LIFE_S * 0.1
        failure = rig.failure()
        assert (failure.kind, failure.scope) == (failures.CREDENTIAL_UNAVAILABLE, Scope.ATTEMPT)
        assert failure.message == "no credential for the key alpha:k: could not open a connection"
        assert failure.client_message == (
            "the credential of the key alpha:k cannot be fetched: its service accepts no connection"
        )
        await rig.until(lambda: rig.calls == 3)
        await rig.give("two")
        assert rig.token() == "two"

    on_rig(main, monkeypatch)


def test_refusal_is_a_fault_of_the_key_and_hides_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        waiting = rig.ask()
        await rig.give(RefusedError(f"Entra ID refused ({SECRET}); check client_secret"))
        (failure,) = waiting
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.scope) == (failures.CREDENTIAL_REJECTED, Scope.KEY)
        assert (
            failure.message == "no credential for the key alpha:k: Entra ID refused ([redacted]); check client_secret"
        )
        assert failure.client_message == ("the credential of the key alpha:k cannot be fetched: its service refuses it")
        assert rig.failure() == failure, "later requests do not wait"
        rig.now += 11
        await rig.until(lambda: rig.calls == 2)
        await rig.give("one")
        assert rig.token() == "one"

    on_rig(main, monkeypatch)


def test_wait_for_the_first_token_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        waiting = rig.ask(patience_s=0.01)
        await rig.until(lambda: waiting)
        (failure,) = waiting
        assert isinstance(failure, Failure)
        assert failure.kind is failures.CREDENTIAL_UNAVAILABLE
        assert failure.message.startswith("no credential for the key alpha:k: its service has not answered yet")
        await rig.give("one")
        assert len(waiting) == 1
        assert rig.token() == "one"

    on_rig(main, monkeypatch)


def test_unexpected_error_does_not_end_the_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give(RuntimeError("unexpected"))
        assert rig.failure().kind is failures.CREDENTIAL_UNAVAILABLE
        rig.now += 2
        await rig.until(lambda: rig.calls == 2)
        await rig.give("one")
        assert rig.token() == "one"

    on_rig(main, monkeypatch)


def test_rejected_token_is_renewed_early_unless_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give("one")
        rig.credentials.doubt(rig.endpoint, rig.key)
        await asyncio.sleep(0.01)
        assert rig.calls == 1
        rig.now += credentials.DOUBT_S + 1
        rig.credentials.doubt(rig.endpoint, rig.key)
        await rig.until(lambda: rig.calls == 2)

    on_rig(main, monkeypatch)


def test_rejections_do_not_end_the_pause_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give("one")
        rig.now += LIFE_S * 0.81
        await rig.until(lambda: rig.calls == 2)
        for _ in range(3):
            await rig.give(UnavailableError(None, "away"))
            calls = rig.calls
            rig.credentials.doubt(rig.endpoint, rig.key)
            await asyncio.sleep(0.01)
            assert rig.calls == calls
            rig.now += 5
            await rig.until(lambda calls=calls: rig.calls == calls + 1)  # type: ignore[misc]

    on_rig(main, monkeypatch)


def test_token_rejected_during_its_renewal_is_renewed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give("one")
        rig.now += LIFE_S * 0.81
        await rig.until(lambda: rig.calls == 2)
        rig.credentials.doubt(rig.endpoint, rig.key)
        await rig.give("two")
        await asyncio.sleep(0.01)
        assert rig.calls == 2

    on_rig(main, monkeypatch)


def test_value_that_had_ended_when_it_arrived_is_fetched_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.life_s = -5.0
        for _ in range(5):
            rig.results.put_nowait("ended")
        rig.ask()
        await rig.until(lambda: rig.calls)
        await asyncio.sleep(0.01)
        assert rig.calls == 1
        assert "check the machine's clock" in rig.failure().message
        rig.now += 2
        await rig.until(lambda: rig.calls == 2)

    on_rig(main, monkeypatch)


def test_value_with_a_short_life_is_not_fetched_more_than_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.life_s = 0.001
        for _ in range(5):
            rig.results.put_nowait("short")
        rig.ask()
        await rig.until(lambda: rig.calls)
        rig.now += 0.9
        await asyncio.sleep(0.01)
        assert rig.calls == 1

    on_rig(main, monkeypatch)


def test_request_waits_for_a_token_after_the_machine_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.ask()
        await rig.give("one")
        monkeypatch.setattr(credentials, "LOOK_S", 3600.0)
        await asyncio.sleep(0.005)  # the task now sleeps for long
        rig.now += LIFE_S * 2
        waiting = rig.ask()
        assert not waiting
        await rig.until(lambda: rig.calls == 2)
        await rig.give("two")
        (found,) = waiting
        assert isinstance(found, ProviderKey)
        assert secret_of(found.credential) == Secret("two")

    on_rig(main, monkeypatch)


def test_error_of_a_waiting_request_concerns_no_other_and_not_the_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Found) -> None:
        raise RuntimeError("a request failed")

    async def main(rig: Rig) -> None:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        rig.credentials.use(rig.endpoint, rig.key, 60.0, fail)
        second = rig.ask()
        await rig.give("one")
        assert isinstance(second[0], ProviderKey)
        assert [str(error["exception"]) for error in errors] == ["a request failed"]
        rig.now += LIFE_S * 0.81
        await rig.until(lambda: rig.calls == 2)

    on_rig(main, monkeypatch)


def test_key_that_a_reload_removed_is_fetched_for_its_last_requests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        rig.credentials.swap(snapshot([replace(rig.endpoint, keys=(ProviderKey("plain", Secret("sk")),))]))
        rig.credentials.doubt(rig.endpoint, rig.key)
        await asyncio.sleep(0.005)
        assert rig.calls == 0
        rig.ask()
        await rig.give("one")
        assert rig.token() == "one"
        rig.now += LIFE_S * 0.9
        await asyncio.sleep(0.01)
        assert rig.calls == 1, "nothing renews it"
        rig.now += LIFE_S
        rig.ask()
        await rig.until(lambda: rig.calls == 2)
        await rig.give("two")
        assert rig.token() == "two"
        rig.credentials.swap(snapshot([rig.endpoint]))
        await rig.until(lambda: rig.calls == 3)

    on_rig(main, monkeypatch)


def test_reload_keeps_tokens_that_are_still_used_and_fetches_new_ones_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_key(rig: Rig, source: EntraSource) -> Endpoint:
        return replace(rig.endpoint, keys=(ProviderKey("k", source),))

    async def main(rig: Rig) -> None:
        rig.credentials.swap(snapshot([rig.endpoint]))
        await rig.give("one")
        renamed = with_key(rig, entra())
        rig.credentials.swap(snapshot([renamed]))
        rig.endpoint, rig.key = renamed, renamed.keys[0]
        assert rig.token() == "one"
        assert rig.calls == 1
        other = with_key(rig, entra("other"))
        rig.credentials.swap(snapshot([other]))
        await rig.until(lambda: rig.calls == 2)
        assert len(rig.credentials._values) == 1

    on_rig(main, monkeypatch)


def test_disabled_key_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rig: Rig) -> None:
        key = ProviderKey("k", entra(), weight=0.0)
        rig.credentials.swap(snapshot([replace(rig.endpoint, keys=(key,))]))
        await asyncio.sleep(0.005)
        assert rig.calls == 0

    on_rig(main, monkeypatch)


@given(st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_renewal_begins_well_before_the_end(life_s: float, random: float) -> None:
    wait_s = wait_before_renewal(life_s, random)
    assert 0 <= wait_s <= life_s
    if life_s >= 600:
        assert life_s * 0.7 <= wait_s <= min(life_s * 0.8, life_s - 60)


@given(st.integers(1, 10_000), st.sampled_from([1.0, 10.0]), st.floats(0, 1, exclude_max=True))
def test_pauses_after_failures_grow_to_a_bound(count: int, first_s: float, random: float) -> None:
    wait_s = wait_after_failures(count, first_s, random)
    assert first_s * 0.9 <= wait_s <= 60 or count == 1


def test_service_of_this_machine_is_reached_without_the_proxy() -> None:
    """Agents of ECS and EKS, and local stand-ins of metadata services, are at a loopback address."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, proxy = Deadlines(loop), Origin("http", "proxy.test", 3128)
        reached: list[Network] = []

        class Watched(Upstreams):
            def at(self, network: Network) -> HttpClient:
                reached.append(network)
                return super().at(Network(connect_timeout_s=0.01))

        async def ask(source: Source, machine: Machine) -> Minted:
            for url in ("http://127.0.0.1:1/keys", "http://169.254.169.254/", "http://0.0.0.0:1/"):
                with pytest.raises(UnavailableError):
                    await machine.ask(url)
            return Minted(AccessToken("one"), NOW + LIFE_S)

        made = Credentials(ask, lambda: NOW)
        made.upstreams = Watched(loop, deadlines)
        network = Network(proxy=proxy, proxy_authorization=Secret("Basic x"), ca_file="/ca.pem")
        at = replace(endpoint("alpha"), network=network)
        made.use(at, ProviderKey("k", entra()), 60.0, lambda found: None)
        while len(reached) < 3:
            await asyncio.sleep(0.001)
        assert [one.proxy for one in reached] == [None, None, proxy]
        assert [one.proxy_authorization for one in reached[:2]] == [None, None]
        assert [one.ca_file for one in reached] == ["/ca.pem"] * 3
        made.close()
        await made.upstreams.close()
        deadlines.close()

    run(main())


def test_failure_names_the_key_that_the_request_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of several providers may have one source, such as the account of the machine."""

    async def main(rig: Rig) -> None:
        waiting = rig.ask()
        await rig.give(RefusedError("Entra ID refused"))
        assert len(waiting) == 1
        found: list[Found] = []
        rig.credentials.use(endpoint("beta"), ProviderKey("other", entra()), 60.0, found.append)
        (failure,) = found
        assert isinstance(failure, Failure)
        assert failure.message == "no credential for the key beta:other: Entra ID refused"

    on_rig(main, monkeypatch)


def test_user_without_a_home_can_use_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(user: int) -> None:
        raise KeyError(user)

    async def main(rig: Rig) -> None:
        await rig.give("first")
        assert rig.token() == "first"

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    on_rig(main, monkeypatch)
