"""The check of certificates."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from fakes.examined import CONFIG, NOW, examine, subject

DAY_S = 86_400.0


def of_days(folder: Path, days: float, now: float = NOW) -> object:
    ends_at = datetime.fromtimestamp(NOW + days * DAY_S, UTC)
    issued = trustme.CA().issue_cert("localhost", not_after=ends_at)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    config = CONFIG.replace("127.0.0.1:0}", "127.0.0.1:0, tls: {cert_file: cert.pem, key_file: key.pem}}", 1)
    (found,) = examine("certificates", subject(folder, config, now=now))
    return found


@pytest.mark.parametrize(("days", "level"), [(90, "ok"), (20, "warning"), (-1, "error")])
def test_rest_of_the_validity(days: float, level: str, tmp_path: Path) -> None:
    found = of_days(tmp_path, days)
    assert getattr(found, "level") == level, found  # noqa: B009 -- of an object


def test_certificate_of_the_future(tmp_path: Path) -> None:
    assert "is not valid yet" in str(of_days(tmp_path, 90, now=0.0))


def test_files_of_the_collector_are_examined(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    telemetry = "telemetry: {otlp: {endpoint: https://127.0.0.1:4318, egress: {ca_file: ca.pem}}}\n"
    (found,) = examine("certificates", subject(tmp_path, CONFIG + telemetry))
    assert found.text.startswith("the certificate authority of the OpenTelemetry collector: ")
