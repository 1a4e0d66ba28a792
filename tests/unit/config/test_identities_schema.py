"""The fields of identities have safe defaults."""

import pytest
from pydantic import ValidationError

from pointsman.config.identities_schema import JwtSettings


def test_one_audience_is_a_list_and_algorithms_are_asymmetric() -> None:
    settings = JwtSettings.model_validate({"issuer": "https://issuer.example", "audience": "me"})
    assert settings.audience == ["me"]
    assert settings.algorithms == ["RS256", "ES256", "EdDSA"]
    assert settings.keys_max_age_s > settings.refresh_s


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "RS1", ""])
def test_other_algorithms_are_rejected(algorithm: str) -> None:
    with pytest.raises(ValidationError):
        JwtSettings.model_validate({"issuer": "i", "audience": "me", "algorithms": [algorithm]})
