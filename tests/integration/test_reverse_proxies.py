"""The documented reverse proxies, with the files of `deploy/`: streams arrive piece by piece."""

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from fakes.clock import PATIENCE_S
from integration.gateway import run, serving
from integration.wire import chat, connect, request
from pointsman.simulate import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
HOUR_MS = 3_600_000.0


def _nginx(folder: Path, port: int, gateway: str) -> list[str]:
    """Return the file with addresses and certificate replaced."""
    authority = trustme.CA().issue_cert("gateway.example.com")
    authority.private_key_and_cert_chain_pem.write_to_path(folder / "gateway.pem")
    text = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:8080", gateway)
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = re.sub(
        r"ssl_certificate(_key)?\s+\S+;", lambda found: f"ssl_certificate{found[1] or ''} {folder}/gateway.pem;", text
    )
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{name}_temp_path {folder}/{name};" for name in names)
    head = f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}"
    whole = f"{head} http {{ access_log off; {paths} {text} }}"
    (folder / "nginx.conf").write_text(whole)
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, port: int, gateway: str) -> list[str]:
    text = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:8080", gateway)
    text = "{\n\tadmin off\n\tauto_https off\n}\n" + text.replace(
        "gateway.example.com {", f"http://127.0.0.1:{port} {{"
    )
    (folder / "Caddyfile").write_text(text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.mark.parametrize(("name", "prepare"), [("nginx", _nginx), ("caddy", _caddy)])
def test_stream_arrives_piece_by_piece(
    name: str, prepare: Callable[[Path, int, str], list[str]], tmp_path: Path
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (apt-get install {name})")

    async def main() -> None:
        slow = Settings(models=("sim-1",), text="numbered", output_tokens="max_tokens", token_gap_ms=HOUR_MS)
        async with serving(providers={"a": slow}, models={"chat": ["a/sim-1"]}) as gateway:
            port = _free_port()
            command = prepare(tmp_path, port, gateway.base_url.removeprefix("http://").removesuffix("/v1"))
            environ = {"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/bin"}
            proxy = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE)
            try:
                await _listens(port, proxy)
                async with connect(f"http://127.0.0.1:{port}/v1") as wire, asyncio.timeout(PATIENCE_S):
                    wire.write(request("POST", "/v1/chat/completions", chat(max_tokens=3, stream=True)))
                    received = await wire.head()
                    assert received.status == 200
                    async for piece in wire.pieces(received):
                        if b'" 0"' in piece:
                            break  # the first token has arrived, and the second would take an hour
            finally:
                proxy.terminate()
                proxy.communicate()

    run(main())


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def _listens(port: int, proxy: "subprocess.Popen[bytes]") -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            assert proxy.poll() is None, proxy.stderr and proxy.stderr.read().decode()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
