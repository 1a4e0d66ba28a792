"""Parts that all sources share."""

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import Secret
from pointsman.engine.sources.exchange import (
    RefusedError,
    UnavailableError,
    end_of,
    failed,
    hiding,
    moment_in,
    moment_of,
)


@pytest.mark.parametrize(("life", "end"), [(60, NOW + 60), ("3599", NOW + 3599), (-5, NOW), ("soon", NOW + 3600)])
def test_end_of_a_token_follows_from_its_life(life: int | str, end: float) -> None:
    assert end_of(life, NOW) == end


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusals_are_told_from_faults(status: int) -> None:
    assert isinstance(failed(status, "the service", "", "do something"), RefusedError)
    assert isinstance(failed(status + 100, "the service", "", "do something"), UnavailableError)


def test_words_of_a_service_are_bounded_and_printable() -> None:
    message = str(failed(400, "the service", "a\r\nb" + "c" * 1000, "do something"))
    assert message.startswith("the service refused with status 400 (a  bccc")
    assert len(message) < 300


@pytest.mark.parametrize(
    "url", ["ftp://x.test/", "https:///token", "token", "https://x.test:port/", "https://u:p@x.test/"]
)
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(RefusedError, match="is not valid"):
        run(TokenService({}).machine().ask(url))


def test_unreachable_service_is_a_fault_that_may_pass() -> None:
    with pytest.raises(UnavailableError, match="could not open a connection"):
        run(TokenService({}).machine().ask("https://tokens.test/"))


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://169.254.169.254/x", True),
        ("http://127.0.0.1:40342/x?y=z", True),
        ("http://[::1]:40342/x", True),
        ("http://localhost/x", True),
        ("https://tokens.test/x", False),
    ],
)
def test_metadata_services_and_those_of_this_machine_are_local(url: str, is_local: bool) -> None:
    service = TokenService({url: [(200, {})]})
    run(service.machine().ask(url))
    assert service.asked[0].is_local is is_local


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T08:00:00", NOW),
        ("2027-01-15T10:00:00.5+02:00", NOW + 0.5),
        ("", None),
    ],
)
def test_moment_of_a_text(text: str, moment: float | None) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize(("seconds", "moment"), [(5, 5.0), ("1800000000", NOW), ("", None), ("9/14/2017 0:00", None)])
def test_moment_in_seconds(seconds: int | str, moment: float | None) -> None:
    assert moment_in(seconds) == moment


@pytest.mark.parametrize("url", ["http://tokens.test/", "HTTP://10.0.0.1/"])
def test_secret_is_not_sent_unencrypted(url: str) -> None:
    service = TokenService({url: [(200, {})]})
    with pytest.raises(RefusedError, match="unencrypted"):
        run(service.machine().post_form(url, {"client_secret": "s"}))
    assert service.asked == []


def test_secret_may_stay_on_this_machine() -> None:
    service = TokenService({"http://127.0.0.1:8080/": [(200, {})]})
    assert run(service.machine().post_form("http://127.0.0.1:8080/", {"client_secret": "s"})).status == 200


@pytest.mark.parametrize("error", [RefusedError("said a-long-secret"), UnavailableError(None, "said a-long-secret")])
def test_secret_is_hidden_in_errors(error: Exception) -> None:
    with pytest.raises(type(error), match=r"said \[redacted\]"), hiding(Secret("a-long-secret")):
        raise error


def test_header_that_is_no_ascii_is_refused() -> None:
    with pytest.raises(RefusedError, match="characters that are not ASCII"):
        run(TokenService({}).machine().ask("https://tokens.test/", headers={"authorization": "schlüssel"}))
