"""Figures on the shape of the code: the hops of one request, and the largest sizes.

    python -m bench.shape --json docs/measurements/shape.json

A hop is a function of the package that is entered between the first byte of a request and the last byte of its answer.
The request is a chat completion that is not streamed, with a known key and a new head. Hops are read from the
interpreter (`sys.setprofile`), so comprehensions, generated constructors and C functions do not count. Each function
counts once. A switch of package is one between two functions in the order of their first entry.
"""

import argparse
import ast
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pointsman"
_ANSWER = (
    b'{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,'
    b'"total_tokens":2}}'
)
_KEY = "sk-pm-0123456789abcdef"
_CONFIG = """
version: 1
server: {{listen: "127.0.0.1:0"}}
console: {{listen: "127.0.0.1:0"}}
data_dir: {folder}/data
providers:
  one: {{type: openai-compatible, base_url: "http://127.0.0.1:{port}/v1", keys: {{only: {{value: env.SHAPE_KEY}}}}}}
  two: {{type: openai-compatible, base_url: "http://127.0.0.1:{port}/v1", keys: {{only: {{value: env.SHAPE_KEY}}}}}}
models:
  m: {{strategy: weighted, targets: [{{model: one/gpt-4o-mini, weight: 1}}, {{model: two/gpt-4o-mini, weight: 1}}]}}
pricing: {{overrides: [{{model: "*", input_usd_per_million: 1, output_usd_per_million: 1}}]}}
governance:
  virtual_keys:
    k: {{value: env.SHAPE_KEY, budgets: [{{limit_usd: 10, per: day}}], rate_limits: [{{requests: 99, per: minute}}]}}
"""


class Hops:
    """Functions of the package in the order of their first entry."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self._known: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(SOURCE)) and "<" not in code.co_name:
            name = f"{Path(code.co_filename).relative_to(SOURCE)}:{code.co_qualname}"
            if name not in self._known:
                self._known.add(name)
                self.entered.append(name)

    def figures(self) -> dict[str, int]:
        files = [name.partition(":")[0] for name in self.entered]
        packages = [file.partition("/")[0] for file in files]
        switches = sum(1 for before, after in pairwise(packages) if before != after)
        return {"functions": len(self.entered), "files": len(set(files)), "switches_of_package": switches}


async def _upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            break
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        lines = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        writer.write(lines % len(_ANSWER) + _ANSWER)
    writer.close()


async def hops(folder: Path) -> Hops:
    """Return the hops of one request."""
    from pointsman.config.compile import compile_file  # noqa: PLC0415 -- static figures do not need it
    from pointsman.runtime.worker import Worker  # noqa: PLC0415

    upstream = await asyncio.start_server(_upstream, "127.0.0.1", 0)
    config = folder / "pointsman.yaml"
    config.write_text(_CONFIG.format(folder=folder, port=upstream.sockets[0].getsockname()[1]))
    loaded = compile_file(config, {**os.environ, "SHAPE_KEY": _KEY})
    compiled = loaded.compiled
    assert compiled is not None, loaded.problems
    log = os.open(folder / "requests.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    worker = Worker(compiled.snapshot, compiled.settings, log)
    await worker.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.plane.server.port)
    found = Hops()
    for agent in [*["warm"] * 20, "never seen"]:
        if agent != "warm":
            sys.setprofile(found)
        body = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
        lines = f"Host: localhost\r\nAuthorization: Bearer {_KEY}\r\nUser-Agent: {agent}\r\n"
        lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n" + lines.encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        sys.setprofile(None)
        assert head.startswith(b"HTTP/1.1 200"), head
    writer.close()
    await worker.stop()
    upstream.close()
    return found


def _trees() -> Iterator[tuple[Path, str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        yield path, text, ast.parse(text)


def tails() -> dict[str, object]:
    """Return the total lines, and the largest item of each kind with its place."""
    lines, largest, longest, fan, methods, arguments = 0, (0, ""), (0, ""), (0, ""), (0, ""), (0, "")
    for path, text, tree in _trees():
        name = path.relative_to(SOURCE).as_posix()
        lines += text.count("\n")
        largest = max(largest, (text.count("\n"), name))
        imported = {
            node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module is not None
        }
        fan = max(fan, (sum(module.startswith("pointsman.") for module in imported), name))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                longest = max(longest, (length, f"{name}:{node.name}"))
            elif isinstance(node, ast.ClassDef):
                count = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
                methods = max(methods, (count, f"{name}:{node.name}"))
            elif isinstance(node, ast.Call):
                arguments = max(arguments, (len(node.args), f"{name}:{node.lineno}"))
    return {
        "lines_of_src": lines,
        "largest_file": largest,
        "longest_function": longest,
        "internal_imports_of_a_module": fan,
        "methods_of_a_class": methods,
        "positional_arguments_of_a_call": arguments,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.shape")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--list", action="store_true", help="print each function that a request enters")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pointsman-shape-") as folder:
        found = asyncio.run(hops(Path(folder)))
    figures: dict[str, object] = {"one_request": found.figures(), **tails()}
    if given.list:
        print("\n".join(found.entered))
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
