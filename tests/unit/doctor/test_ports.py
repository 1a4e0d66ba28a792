"""The check of the addresses."""

import socket
from pathlib import Path

from fakes.examined import CONFIG, examine, levels, subject


def test_free_and_used_addresses(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        config = CONFIG.replace("server: {listen: 127.0.0.1:0}", f"server: {{listen: {address}}}")
        used, chosen = examine("ports", subject(tmp_path, config))
        assert (used.level, chosen.level) == ("error", "skipped")
        assert used.text == f"server.listen: {address}: Address already in use"
        assert levels(examine("ports", subject(tmp_path, config, is_running=True))) == ["ok", "skipped"]
    assert levels(examine("ports", subject(tmp_path, config))) == ["ok", "skipped"]
    assert levels(examine("ports", subject(tmp_path, config, is_running=True))) == ["error", "skipped"]


def test_address_of_another_machine(tmp_path: Path) -> None:
    config = CONFIG.replace("server: {listen: 127.0.0.1:0}", "server: {listen: '192.0.2.1:18080'}")
    found, _ = examine("ports", subject(tmp_path, config))
    assert found.level == "error"
    assert "choose an address of this machine" in found.advice
