"""The settings of logins: identity providers by name, which show no secret."""

from pointsman.control.inquiries.console import LoginSettings
from unit.admin.sign_on.test_identity import PROVIDER


def test_identity_provider_is_found_by_name_and_shows_no_secret() -> None:
    settings = LoginSettings(sign_on=(PROVIDER,))
    assert settings.provider("company") is PROVIDER
    assert settings.provider("other") is None
    assert repr(PROVIDER) == "SignOnProvider(https://idp.example:443)"
