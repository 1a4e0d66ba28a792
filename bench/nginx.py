"""nginx in two roles: the upstream with a fixed answer, and the proxy that the gateway is compared with."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from bench.processes import Server

# A chat completion of 1 KB.
ANSWER = (
    '{"id":"chatcmpl-BMxEwRA0p0gJ52oKS7806KAlfMhqq","object":"chat.completion","created":1700000000,'
    '"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! This is a mock '
    "response from the upstream provider used for benchmarking the gateway. It has a modest length so that parsing is "
    "realistic. The signalman pulls the lever, the points move over, the signal clears, and the train takes the line "
    "that was chosen for it; the next one may take another. Nobody on board needs to know which levers were pulled, or "
    'why, but it is all written down in the book.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":'
    '"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":88,"total_tokens":130,"prompt_tokens_details":'
    '{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":'
    '"fp_0123456789"}'
)

# The same text as a message of Anthropic's dialect.
_TEXT = ANSWER.partition('"content":"')[2].partition('"')[0]
MESSAGE = (
    '{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":'
    f'[{{"type":"text","text":"{_TEXT}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":42,'
    '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,'
    '"ephemeral_1h_input_tokens":0},"output_tokens":88,"service_tier":"standard"}}'
)

_COMMON = """
{user} worker_processes 1; daemon off; error_log {folder}/error.log; pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; default_type application/json;
  client_max_body_size 50m; client_body_buffer_size 1m; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{body}
}}
"""


@dataclass(frozen=True)
class Certificate:
    """PEM files: the authority, and a certificate with its key for 127.0.0.1 and localhost."""

    authority: Path
    chain: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """Write a certificate for `localhost`, and its authority, into a folder."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    files = Certificate(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(files.authority)
    issued.private_key_pem.write_to_path(files.key)
    files.key.chmod(0o600)
    issued.cert_chain_pems[0].write_to_path(files.chain)
    return files


def upstream(folder: Path, core: int, ports: Sequence[int], tls_ports: Sequence[int], tls: Certificate) -> Server:
    """Start an upstream that answers every request with `ANSWER`, and every message with `MESSAGE`. The page `/status`
    has the number of requests."""
    listen = "".join(f"    listen 127.0.0.1:{port} reuseport;\n" for port in ports)
    listen += "".join(f"    listen 127.0.0.1:{port} ssl reuseport;\n" for port in tls_ports)
    body = f"""
  ssl_certificate {tls.chain}; ssl_certificate_key {tls.key}; ssl_session_cache shared:s:1m;
  server {{
{listen}
    location / {{ return 200 '{ANSWER}'; }}
    location /status {{ stub_status; }}
    location /v1/messages {{ return 200 '{MESSAGE}'; }}
  }}"""
    return _server("upstream", folder, core, [*ports, *tls_ports], body)


@dataclass(frozen=True)
class Route:
    """A port of the proxy, and the upstream ports it balances over."""

    listen: int
    to: Sequence[int]
    authority: Path | None = None  # uses TLS to the upstream, and verifies it with this certificate
    is_stream: bool = False


def proxy(folder: Path, core: int, routes: Sequence[Route]) -> Server:
    """Start a reverse proxy with kept-alive connections and the upstream's key, but without logging."""
    body = ""
    for number, route in enumerate(routes):
        servers = " ".join(f"server 127.0.0.1:{port};" for port in route.to)
        tls = ""
        if route.authority is not None:
            tls = (
                f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {route.authority}; proxy_ssl_name localhost;"
                " proxy_ssl_server_name on; proxy_ssl_session_reuse on;"
            )
        body += f"""
  upstream u{number} {{ {servers} keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{route.listen} reuseport;
    location / {{
      proxy_pass {"https" if route.authority else "http"}://u{number}; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Authorization "Bearer sk-upstream";
      {"proxy_buffering off;" if route.is_stream else ""} {tls}
    }}
  }}"""
    return _server("nginx", folder, core, [route.listen for route in routes], body)


def _server(name: str, folder: Path, core: int, ports: Sequence[int], body: str) -> Server:
    folder.mkdir()
    path = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(_COMMON.format(user=user, folder=folder, body=body))
    return Server(name, ["nginx", "-p", str(folder), "-c", str(path)], core, ports, folder / "output.log")
