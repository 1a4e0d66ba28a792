"""Requests: bodies and keys, made from a seed, and written to files for the load generators.

The numbers of bodies and of keys are primes, so that cycling through both gives every pair before one repeats.
"""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

BODIES = 211
KEYS = 53
LARGE_BODIES = 23
LARGE_BYTES = 50_000
SMALLEST_BYTES, LARGEST_BYTES = 512, 8192

# The headers of the official Python SDK, without the key and the length.
HEADERS = (
    "Content-Type: application/json\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
    "User-Agent: OpenAI/Python 3.54.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 3.54.0\r\n"
    "X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n"
    "X-Stainless-Runtime-Version: 3.11.7\r\nX-Stainless-Async: false\r\nX-Stainless-Retry-Count: 0\r\n"
)

_LUA = """
local head, tails, keys, n, unique = "", {}, {}, 0, false

function init(args)
  for line in io.lines(args[2]) do keys[#keys + 1] = line end
  for line in io.lines(args[1]) do
    tails[#tails + 1] = HEADERS .. "Content-Length: " .. #line .. "\\r\\n\\r\\n" .. line
  end
  unique = args[3] == "unique"
  head = "POST /v1/chat/completions HTTP/1.1\\r\\nHost: " .. wrk.host .. ":" .. wrk.port ..
         "\\r\\nAuthorization: Bearer "
end

function request()
  n = n + 1
  local id = unique and ("X-Request-Id: " .. n .. "\\r\\n") or ""
  return head .. keys[n % #keys + 1] .. "\\r\\n" .. id .. tails[n % #tails + 1]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests": %d, "errors": %d, "duration_s": %f, "p50_us": %f, "p99_us": %f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
"""

_WORDS = """
    the a of to and in that it is was for on are with as they be at one have this from or had by hot but some
    what there we can out other were all your when up use word how said an each she which do their time if will
    way about many then them would write like so these her long make thing see him two has look more day could
    go come did my sound no most number who over know water than call first people may down side been now find
""".split()  # noqa: SIM905 -- as a list it fills a screen


@dataclass(frozen=True)
class Workload:
    """Files with one body or key per line, and the script that makes `wrk` cycle through them."""

    keys: tuple[str, ...]
    keys_file: Path
    script: Path
    folder: Path

    def bodies(self, model: str, *, stream: bool = False, large: bool = False) -> Path:
        """Return a file of bodies that request `model`."""
        path = self.folder / f"bodies-{model}{'-large' if large else ''}.txt"
        if not path.exists():
            rng = random.Random(f"{model}{large}")
            count = LARGE_BODIES if large else BODIES
            lines = (_body(rng, model, LARGE_BYTES if large else _size(rng), stream=stream) for _ in range(count))
            path.write_text("".join(line + "\n" for line in lines))
        return path


def prepare(folder: Path) -> Workload:
    """Write keys and script into `folder`."""
    rng = random.Random("keys")
    keys = tuple(f"sk-bench-{rng.randbytes(24).hex()}" for _ in range(KEYS))
    keys_file, script = folder / "keys.txt", folder / "requests.lua"
    keys_file.write_text("".join(key + "\n" for key in keys))
    script.write_text(f"local HEADERS = {json.dumps(HEADERS)}\n{_LUA}")
    return Workload(keys, keys_file, script, folder)


def _size(rng: random.Random) -> int:
    """Draw a size. Small bodies are more frequent than large ones."""
    return round(math.exp(rng.uniform(math.log(SMALLEST_BYTES), math.log(LARGEST_BYTES))))


def _body(rng: random.Random, model: str, size: int, *, stream: bool) -> str:
    messages = [{"role": "system", "content": "You are a helpful assistant that answers concisely."}]
    request: dict[str, object] = {
        "model": model,
        "messages": messages,
        "temperature": round(rng.random(), 2),
        "max_tokens": rng.randrange(16, 1024),
        "stream": stream,
    }
    if stream:
        request["stream_options"] = {"include_usage": True}
    turns = rng.randrange(1, 8, 2)
    left = size - len(json.dumps(request))
    for turn in range(turns):
        share = max(40, left // (turns - turn)) - 40
        content = ""
        while len(content) < share:
            content += rng.choice(_WORDS) + rng.choice((" ", " ", " ", ", ", ".\n"))
        messages.append({"role": "user" if turn % 2 == 0 else "assistant", "content": content})
        left = size - len(json.dumps(request))
    return json.dumps(request, separators=(",", ":"))
