"""Inquiries name the caller of their request."""

from fastapi import Request

from pointsman.admin.call_inquirer import STRANGER, actor_of, begin_call
from pointsman.admin.callers import Caller
from pointsman.domain.audit import Actor
from pointsman.domain.rights import Rights


def request() -> Request:
    return Request({"type": "http", "headers": [], "client": ("203.0.113.7", 1), "path": "/", "method": "POST"})


def test_unknown_caller_has_its_address() -> None:
    asked = request()
    assert actor_of(asked) == Actor(STRANGER, "203.0.113.7", "")
    begin_call(asked)
    assert len(actor_of(asked).request_id) == 32


def test_known_caller_has_its_name_and_the_address_behind_proxies() -> None:
    asked = request()
    asked.state.caller = Caller(name="user:ann", rights=Rights(), address="198.51.100.1")
    assert actor_of(asked) == Actor("user:ann", "198.51.100.1", "")


def test_address_that_a_login_found_out_counts() -> None:
    asked = request()
    asked.state.address = "198.51.100.2"
    assert actor_of(asked).address == "198.51.100.2"
