"""`pointsman logs`: the latest requests, and those that follow."""

import csv
import io
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, request_id, scope
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}
NOW = time.time()


def fill(plane: ControlPlane) -> None:
    failed = {
        "provider": "groq", "model": "llama", "key": "default", "outcome": "upstream_error", "status": 500,
        "message": "it answered 500", "start_us": 100, "duration_us": 1500, "events_left_out": 1,
    }  # fmt: skip
    served_by = {
        "provider": "openai", "model": "gpt-4o", "key": "spare", "outcome": "ok", "status": 200, "start_us": 1700,
        "duration_us": 2000, "cost_nano": 70, "usage_source": "reported", "tokens_in": 10, "tokens_out": 5,
    }  # fmt: skip
    plane.write(
        1,
        NOW,
        attempts=[failed, served_by],
        source="models.chat",
        tags={"env": "[red]dev"},
        session="s-1",
        agent="a-2",
        parent_agent="a-1",
        client="198.51.100.7",
        client_retries="2",
    )
    plane.write(2, NOW + 1, of=scope(2, virtual_key="you"), status=429, code="rate_limited", message="no more")
    plane.writer.intent(scope(), request_id(3, NOW + 2), 1, NOW + 2, 1000, 10)
    plane.writer.close()


def test_latest_requests_are_printed_as_a_table(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["logs", "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        lines = [line for line in done.output.splitlines() if "-7000-8000-" in line]  # a part of every id
        assert ["worker died" in line for line in lines] == [True, False, False], "the newest first"
        assert "$0.00000007 " in lines[2]
        assert all(word in lines[1] for word in (" you ", " chat ", " openai ", " 429 ", request_id(2, NOW + 1)))

        chosen = CliRunner().invoke(build_app(), ["logs", "--url", url, "--key", "you", "--json"], env=ENV)
        assert [row["virtual_key"] for row in json.loads(chosen.output)] == ["you"]
        none = CliRunner().invoke(build_app(), ["logs", "--url", url, "--status", "418"], env=ENV)
        assert none.output == "no request found; new requests take a moment to appear, and old ones are deleted\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_new_requests_follow_once_each(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for by their place in the log. It asks again at once while there may be more."""

    def row(number: int) -> dict[str, object]:
        facts = {"virtual_key": "me", "model": "chat", "provider": "openai", "status": 200, "cost_nano": 70}
        return {"request_id": f"id-{number}", "at": NOW + number, **facts}

    answers = [(5, []), (7, [row(3), row(1)]), (9, []), (9, []), (10, [row(4)])]
    asked: list[dict[str, object]] = []
    pauses: list[int] = []

    def get(url: str, path: str, parameters: dict[str, object], token_file: object) -> dict[str, object]:
        assert path == "requests/follow"
        asked.append(parameters)
        if not answers:
            raise KeyboardInterrupt
        position, rows = answers.pop(0)
        return {"position": position, "rows": rows}

    monkeypatch.setattr("pointsman.cli._admin.get", get)
    monkeypatch.setattr("pointsman.cli._admin.get_page", lambda *_: ([row(2)], None))
    monkeypatch.setattr("time.sleep", lambda _: pauses.append(len(asked)))
    options = ["--follow", "--key", "me", *(["--json"] if as_json else [])]
    done = CliRunner().invoke(build_app(), ["logs", *options], env=ENV)
    assert done.exit_code == 0, done.output
    assert re.findall(r"id-\d", done.output) == ["id-2", "id-3", "id-1", "id-4"]
    assert all(parameters["key"] == "me" for parameters in asked)
    assert [parameters.get("stored_after") for parameters in asked] == [None, 5, 7, 9, 9, 10]
    assert pauses == [4], "only after an answer without news"
    if as_json:
        assert [json.loads(line)["model"] for line in done.output.splitlines()] == ["chat"] * 4


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_export_has_all_requests_once(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.cli.logs.EXPORTED", 2)

    def many(plane: ControlPlane) -> None:
        for number in range(5):
            plane.write(number, NOW + number, code="broken", message=f'a "quoted"\nmessage {number}')

    def ids(output: str) -> list[str]:
        if form == "jsonl":
            return [json.loads(line)["request_id"] for line in output.splitlines()]
        return [row["request_id"] for row in csv.DictReader(io.StringIO(output, newline=""))]

    with served(tmp_path, many) as url:
        options = ["logs", "--url", url, "--format", form]
        done = CliRunner().invoke(build_app(), options, env=ENV)
        assert done.exit_code == 0, done.output
        assert ids(done.output) == [request_id(number, NOW + number) for number in (4, 3, 2, 1, 0)]
        some = CliRunner().invoke(build_app(), [*options, "--limit", "3"], env=ENV)
        assert ids(some.output) == [request_id(number, NOW + number) for number in (4, 3, 2)]
        none = CliRunner().invoke(build_app(), [*options, "--key", "nobody"], env=ENV)
        assert none.exit_code == 1
        assert "there is no virtual key 'nobody'" in none.stderr


def test_export_that_breaks_off_is_an_error() -> None:
    """The gateway may end in the middle of an answer."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n12\r\n{"request_id": 1}\n\r\n')
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = CliRunner().invoke(build_app(), ["logs", "--url", url, "--format", "jsonl"], env=ENV)
    thread.join()
    server.close()
    assert done.exit_code == 1
    assert done.stdout == '{"request_id": 1}\n'
    assert "broke off its answer, which is not complete" in done.stderr


def test_rare_requests_are_searched_for_in_several_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"at": NOW, "virtual_key": "me", "model": "chat", "provider": "a", "status": 200, "cost_nano": 70}
    pages = [([], "id-7"), ([row | {"request_id": "id-5"}], "id-5"), ([row | {"request_id": "id-2"}], None)]
    asked: list[object] = []

    def get_page(url: str, path: str, parameters: dict[str, object], token_file: object) -> object:
        asked.append((parameters["before"], parameters["limit"]))
        return pages.pop(0)

    monkeypatch.setattr("pointsman.cli._admin.get_page", get_page)
    done = CliRunner().invoke(build_app(), ["logs", "--json"], env=ENV)
    assert [one["request_id"] for one in json.loads(done.output)] == ["id-5", "id-2"]
    assert asked == [(None, 20), ("id-7", 20), ("id-5", 19)]
