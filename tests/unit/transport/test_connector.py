"""TLS with real certificates, the egress proxy, several addresses, and the kind of each failure."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest
import trustme

from fakes.clock import PATIENCE_S, Clock
from fakes.origin import OK, Answer, Peer, ask, connecting, run, send, serving
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.transport import connector
from pointsman.transport.connector import USER_TIMEOUT_MS, Connector
from pointsman.transport.errors import ConnectError
from pointsman.transport.resolver import Address, Resolver


class Certificates:
    """A certificate authority of the tests, with the client's files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca_file)
        client = self.authority.issue_cert("client@gateway.example")
        self.client_cert = str(folder / "client.pem")
        self.client_key = str(folder / "client.key")
        client.cert_chain_pems[0].write_to_path(self.client_cert)
        client.private_key_pem.write_to_path(self.client_key)

    def server(self, *names: str, wants_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(context)
        context.set_alpn_protocols(["h2", "http/1.1"])
        if wants_client:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def echo(peer: Peer) -> None:
    while True:
        await peer.answer(OK)


def to_loopback(host: str) -> list[Address]:
    return [(socket.AF_INET, "127.0.0.1")]


async def ask_tls(
    context: ssl.SSLContext, network: Network, name: str = "provider.example", times: int = 1
) -> list[Answer]:
    resolver = Resolver(asyncio.get_running_loop(), to_loopback)
    async with serving(echo, tls=context, name=name) as fake, connecting(network, resolver) as client:
        answers = [await ask(client, fake.origin) for _ in range(times)]
        assert len(fake.peers) <= 1
        return answers


def test_tls_with_a_private_authority_reuses_its_connection(certificates: Certificates) -> None:
    network = Network(ca_file=certificates.ca_file)
    for answer in run(ask_tls(certificates.server("provider.example"), network, times=3)):
        assert (answer.body, answer.failure) == (b"ok", None)


def test_certificate_may_name_an_ip_address(certificates: Certificates) -> None:
    network = Network(ca_file=certificates.ca_file)
    [answer] = run(ask_tls(certificates.server("127.0.0.1"), network, name="127.0.0.1"))
    assert answer.body == b"ok"


def test_sni_is_the_host_name(certificates: Certificates) -> None:
    context = certificates.server("provider.example")
    names: list[str] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    run(ask_tls(context, Network(ca_file=certificates.ca_file)))
    assert names == ["provider.example"]


def test_certificates_are_verified(certificates: Certificates) -> None:
    [untrusted] = run(ask_tls(certificates.server("provider.example"), Network()))
    assert untrusted.failure is not None
    assert (untrusted.failure_code, untrusted.failure.was_sent) == ("tls_failed", False)
    assert "unable to get local issuer certificate" in untrusted.failure.message
    [misnamed] = run(ask_tls(certificates.server("other.example"), Network(ca_file=certificates.ca_file)))
    assert misnamed.failure is not None
    assert misnamed.failure_code == "tls_failed"
    assert "Hostname mismatch" in misnamed.failure.message


def test_client_certificate_is_presented(certificates: Certificates) -> None:
    context = certificates.server("provider.example", wants_client=True)
    ours = Network(
        ca_file=certificates.ca_file,
        client_cert=certificates.client_cert,
        client_key=certificates.client_key,
    )
    [answer] = run(ask_tls(context, ours))
    assert answer.body == b"ok"
    [rejected] = run(ask_tls(context, Network(ca_file=certificates.ca_file)))
    assert rejected.failure is not None
    assert "may require a client certificate" in rejected.failure.message
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in TLS 1.2 the rejection is part of the handshake
    [rejected] = run(ask_tls(context, Network(ca_file=certificates.ca_file)))
    assert rejected.failure_code == "tls_failed"


def test_old_protocols_and_plain_servers_are_tls_failures(certificates: Certificates) -> None:
    network = Network(ca_file=certificates.ca_file)

    async def main(script_sends: bytes, ending: str) -> Answer:
        async def script(peer: Peer) -> None:
            peer.send(script_sends)
            await peer.drain()
            peer.close() if ending == "close" else peer.reset()

        async with serving(script) as fake, connecting(network) as client:
            return await ask(client, Origin("https", "127.0.0.1", fake.origin.port))

    assert run(main(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close")).failure_code == "tls_failed"
    assert run(main(b"", "close")).failure_code == "tls_failed"
    assert run(main(b"", "reset")).failure_code == "tls_failed"


def test_unusable_files_are_reported_when_the_client_is_created(tmp_path: Path) -> None:
    async def main(network: Network) -> None:
        async with connecting(network):
            pass

    with pytest.raises(FileNotFoundError):
        run(main(Network(ca_file=str(tmp_path / "none.pem"))))
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        run(main(Network(client_cert=str(tmp_path / "empty.pem"))))
    with pytest.raises(ValueError, match="must begin with http:"):
        run(main(Network(proxy=Origin("https", "proxy.example", 443))))


def test_tls_body_without_a_length_needs_a_closing_alert(certificates: Certificates) -> None:
    async def main(headers: bytes, is_announced: bool) -> Answer:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\n", headers, b"\r\nsome text")
            await seen.wait()
            if not is_announced:
                with socket.socket(fileno=os.dup(peer._writer.get_extra_info("socket").fileno())) as sock:
                    sock.shutdown(socket.SHUT_WR)

        seen = asyncio.Event()

        resolver = Resolver(asyncio.get_running_loop(), to_loopback)
        context = certificates.server("provider.example")
        async with (
            serving(script, tls=context, name="provider.example") as fake,
            connecting(Network(ca_file=certificates.ca_file), resolver) as client,
        ):
            answer = send(client, fake.origin)
            await answer.until(lambda: answer.pieces)
            seen.set()
            return await answer.finished()

    assert run(main(b"", is_announced=True)).calls == ["head", "data", "end"]
    assert run(main(b"", is_announced=False)).failure_code == "connection_lost"
    assert run(main(b"Content-Length: 100\r\n", is_announced=True)).failure_code == "connection_lost"


def test_tls_streams_can_be_paused_and_cancelled(certificates: Certificates) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(2000):
                    peer.send(bytes(16384))
                    await peer.drain()
            await peer.wait_closed()
            ended.set()

        ended = asyncio.Event()
        resolver = Resolver(asyncio.get_running_loop(), to_loopback)
        context = certificates.server("provider.example")
        async with (
            serving(script, tls=context, name="provider.example") as fake,
            connecting(Network(ca_file=certificates.ca_file), resolver) as client,
        ):
            answer = send(client, fake.origin)
            await answer.until(lambda: answer.pieces)
            assert answer.leg is not None
            answer.leg.pause()
            await asyncio.sleep(0.05)
            before = len(answer.body)
            await asyncio.sleep(0.05)
            assert len(answer.body) == before
            answer.leg.resume()
            await answer.until(lambda: len(answer.body) > before)
            answer.leg.pause()
            answer.leg.cancel()
            await ended.wait()
            assert client.gauges()[str(fake.origin)].open == 0

    run(main())


# -- the connect timeout -------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def deaf() -> AsyncIterator[Origin]:
    """Listen on a port whose queue of connections is full, so that connecting to it hangs."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0.01)
        yield Origin("http", "127.0.0.1", port)


@pytest.mark.parametrize(
    ("scheme", "by_proxy", "phase"),
    [("http", False, "opening the connection"), ("https", False, "TLS handshake"), ("https", True, "egress proxy")],
)
def test_connect_timeout_covers_every_phase(scheme: str, by_proxy: bool, phase: str) -> None:
    clock = Clock()

    async def main() -> Answer:
        async def script(peer: Peer) -> None:
            await peer.wait_closed()
            ended.set()

        ended = asyncio.Event()
        async with serving(script) as fake, deaf() as unreachable:
            origin = unreachable if scheme == "http" else Origin("https", "127.0.0.1", fake.origin.port)
            network = Network(connect_timeout_s=1.0, proxy=fake.origin if by_proxy else None)
            async with connecting(network, clock=clock) as client:
                answer = send(client, origin)
                if scheme == "https":
                    while not fake.peers:
                        await asyncio.sleep(0.001)
                assert await clock.run_until(lambda: answer.is_over) >= 0.99
                if scheme == "https":
                    await ended.wait()
                assert client.gauges()[str(origin)].open == 0
                cancelled = send(client, origin)
                await asyncio.sleep(0.02)
                assert cancelled.leg is not None
                cancelled.leg.cancel()
                ended.clear()
                if scheme == "https":
                    await ended.wait()
                assert cancelled.calls == []
                return answer

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("connect_timeout", False)
    assert phase in answer.failure.message


# -- the egress proxy -----------------------------------------------------------------------------------------------


def tunnel(reply: bytes, heads: list[bytes]) -> object:
    """Return a proxy that answers CONNECT with `reply`. If its status is 200, the proxy joins both sides."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async def script(peer: Peer) -> None:
        head = await peer._until(b"\r\n\r\n")
        heads.append(head)
        peer.send(reply)
        if not reply.endswith(b" 200 Connection established\r\n\r\n"):
            await peer.wait_closed()
            return
        port = int(head.split()[1].rpartition(b":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(peer._reader, writer), pump(reader, peer._writer))
        finally:
            writer.close()

    return script


async def ask_by_proxy(
    certificates: Certificates, reply: bytes, scheme: str = "https", secret: str | None = None
) -> tuple[list[Answer], list[bytes]]:
    heads: list[bytes] = []
    context = certificates.server("provider.example") if scheme == "https" else None
    resolver = Resolver(asyncio.get_running_loop(), lambda _: [])  # only the proxy's address is known
    async with (
        serving(echo, tls=context, name="provider.example") as fake,
        serving(tunnel(reply, heads)) as proxy,  # type: ignore[arg-type]
    ):
        network = Network(
            proxy=proxy.origin,
            proxy_authorization=None if secret is None else Secret(secret),
            ca_file=certificates.ca_file,
        )
        async with connecting(network, resolver) as client:
            answers = [await ask(client, fake.origin) for _ in range(2)]
        return answers, heads


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_egress_proxy_gets_a_connect_request(certificates: Certificates, scheme: str) -> None:
    reply = b"HTTP/1.1 200 Connection established\r\n\r\n"
    answers, heads = run(ask_by_proxy(certificates, reply, scheme, "Basic c2VjcmV0"))
    assert [answer.body for answer in answers] == [b"ok", b"ok"]
    [head] = heads
    assert head.startswith(b"CONNECT provider.example:")
    assert b"\r\nHost: provider.example:" in head
    assert head.endswith(b"\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "with status 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "refused a tunnel to provider.example"),
        (b"HTTP/1.1 200 OK\r\n\r\ninjected", "unexpected bytes"),
        (b"SSH-2.0\r\n\r\n", "something other than HTTP"),
        (b"HTTP/1.1 200 " + b"x" * 20000, "its answer was too long"),
    ],
)
def test_message_names_the_answer_of_a_failing_proxy(certificates: Certificates, reply: bytes, says: str) -> None:
    answers, _ = run(ask_by_proxy(certificates, reply, secret="Basic c2VjcmV0"))
    failure = answers[0].failure
    assert failure is not None
    assert (failure.kind.code, failure.was_sent) == ("connect_failed", False)
    assert says in failure.message
    assert "c2VjcmV0" not in failure.message


# -- addresses and sockets --------------------------------------------------------------------------------------------


def addresses(*hosts: str) -> list[Address]:
    return [(socket.AF_INET6 if ":" in host else socket.AF_INET, host) for host in hosts]


def test_next_address_is_tried_at_once_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "STAGGER_S", PATIENCE_S)

    async def main(*hosts: str) -> None:
        resolver = Resolver(asyncio.get_running_loop(), lambda _: addresses(*hosts))
        async with serving(echo, name="many.example") as fake, connecting(resolver=resolver) as client:
            answer = await ask(client, fake.origin)
            assert answer.body == b"ok", answer.failure

    run(main("127.0.0.9", "127.0.0.1"))  # refused
    run(main("::1", "127.0.0.9", "127.0.0.1"))
    run(main("127.0.0.1", "::1"))


def test_next_address_is_tried_a_quarter_of_a_second_after_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        resolver = Resolver(loop, lambda _: addresses("127.0.0.8", "127.0.0.1"))
        original = Connector._connect_socket
        left: list[str] = []

        async def connect(self: Connector, address: Address, port: int) -> socket.socket:
            if address[1] == "127.0.0.8":
                try:
                    await asyncio.sleep(60)
                finally:
                    left.append(address[1])
            return await original(self, address, port)

        monkeypatch.setattr(Connector, "_connect_socket", connect)
        async with serving(echo, name="many.example") as fake, connecting(resolver=resolver) as client:
            started = monotonic()
            answer = await ask(client, fake.origin)
            assert answer.body == b"ok"
            assert monotonic() - started >= 0.25
            assert left == ["127.0.0.8"]

    run(main())


def test_message_has_the_cause_when_all_addresses_fail() -> None:
    async def main() -> Answer:
        resolver = Resolver(asyncio.get_running_loop(), lambda _: addresses("127.0.0.1", "::1", "127.0.0.2"))
        async with serving(echo, name="many.example") as fake:
            gone = fake.origin
        async with connecting(resolver=resolver) as client:
            return await ask(client, gone)

    answer = run(main())
    assert answer.failure is not None
    assert answer.failure_code == "connect_failed"
    assert "connection refused" in answer.failure.message


def test_unknown_host_name_is_a_dns_failure() -> None:
    async def main() -> Answer:
        def lookup(host: str) -> list[Address]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async with connecting(resolver=Resolver(asyncio.get_running_loop(), lookup)) as client:
            return await ask(client, Origin("http", "gone.example", 80))

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("dns_failed", False)
    assert "gone.example" in answer.failure.message


def test_ipv6_is_used_and_socket_options_are_set() -> None:
    async def main() -> None:
        try:
            async with serving(echo, host="::1") as fake, connecting() as client:
                assert (await ask(client, fake.origin)).body == b"ok"
                [connection] = client._pools[fake.origin]._connections
                assert connection._transport is not None
                sock = connection._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")

    run(main())


@pytest.mark.parametrize("where", ["socket", "lookup"])
def test_shortage_of_open_files_is_a_failure_of_the_gateway(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> list[Address]:
        raise OSError(errno.EMFILE, "too many open files")

    async def main() -> Answer:
        async with serving(echo) as fake:
            origin = fake.origin if where == "socket" else Origin("http", "provider.test", 1)
            resolver = Resolver(asyncio.get_running_loop(), lookup=no_more)
            async with connecting(resolver=resolver) as client:
                monkeypatch.setattr(connector, "FILES_WAIT_S", 0.05)
                if where == "socket":
                    monkeypatch.setattr(socket, "socket", no_more)
                else:
                    monkeypatch.setattr(connector, "are_files_used_up", lambda: True)
                answer = await ask(client, origin)
                monkeypatch.undo()
            await resolver.close()
            return answer

    answer = run(main())
    assert answer.failure_code == "gateway_overloaded"
    assert answer.failure is not None
    assert "no free file descriptors or ports" in answer.failure.message


def test_connecting_waits_for_a_file_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients over the limit use files until they have been rejected."""
    real, made = socket.socket, 0

    def soon(family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> socket.socket:
        nonlocal made
        made += fileno is None
        if made < 3 and fileno is None:
            raise OSError(errno.EMFILE, "too many open files")
        return real(family, kind, proto, fileno)

    async def main() -> Answer:
        async with serving(echo) as fake, connecting() as client:
            monkeypatch.setattr(socket, "socket", soon)
            answer = await ask(client, fake.origin)
            monkeypatch.undo()
            return answer

    assert run(main()).body == b"ok"
    assert made >= 3


METADATA = "the address is that of a metadata service or of the local link, to which no request may go; set another one"


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.google.internal", "harmless.example"])
def test_metadata_service_is_reached_only_by_a_network_for_it(host: str) -> None:
    """Its name, its address and a name that leads to its address are the same."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        lookups: list[str] = []

        def lookup(name: str) -> list[Address]:
            lookups.append(name)
            return [(socket.AF_INET, "169.254.169.254")]

        for is_allowed in (False, True):
            network = Network(reaches_metadata=is_allowed)
            opened: list[Address] = []

            class Watched(Connector):
                async def _connect_socket(self, address: Address, port: int) -> socket.socket:
                    opened.append(address)  # noqa: B023 -- used within the iteration
                    raise OSError(errno.ENETUNREACH, "no network in this test")

            resolver = Resolver(loop, lookup)
            with pytest.raises(ConnectError) as raised:
                await Watched(loop, network, resolver).connect(Origin("http", host, 80), asyncio.Protocol(), print)
            assert (str(raised.value) == METADATA) is not is_allowed
            assert bool(opened) is is_allowed
            await resolver.close()

    run(main())


@pytest.mark.parametrize(
    ("network", "forbidden", "message"),
    [
        (Network(), ["169.254.7.7", "169.254.1.1"], METADATA),
        (Network(is_public_only=True), ["10.0.0.1", "192.168.0.1"], "the host has no public address"),
    ],
)
def test_forbidden_address_of_a_host_is_skipped(network: Network, forbidden: list[str], message: str) -> None:
    """A host may have an address of its local link beside its others. Only a host without any other is unreachable."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        opened: list[str] = []

        class Watched(Connector):
            async def _connect_socket(self, address: Address, port: int) -> socket.socket:
                opened.append(address[1])
                raise OSError(errno.ENETUNREACH, "no network in this test")

        for found in ([forbidden[0], "8.8.8.8", forbidden[1], "1.1.1.1"], forbidden):
            addresses = [(socket.AF_INET, one) for one in found]
            resolver = Resolver(loop, lambda _: addresses)  # noqa: B023 -- used within the iteration
            origin = Origin("https", "two.example", 443)
            with pytest.raises(ConnectError) as raised:
                await Watched(loop, network, resolver).connect(origin, asyncio.Protocol(), print)
            assert (str(raised.value) == message) is (found is forbidden)
            await resolver.close()
        assert opened == ["8.8.8.8", "1.1.1.1"]

    run(main())
