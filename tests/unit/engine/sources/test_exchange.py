"""Parts that all sources share."""

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.engine.sources.exchange import RefusedError, UnavailableError, end_of, failed


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
