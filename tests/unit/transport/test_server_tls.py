"""The TLS of a listener follows its files."""

import ssl
from pathlib import Path

import pytest

from fakes.certificates import Certificates
from pointsman.transport.server_tls import ServerTls, Tls, server_context


def test_clients_are_asked_for_certificates(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    files = certificates.settings()
    assert server_context(Tls(files["cert_file"], files["key_file"])).verify_mode is ssl.CERT_NONE
    assert server_context(Tls(**files)).verify_mode is ssl.CERT_REQUIRED
    assert server_context(Tls(**files, requires_client=False)).verify_mode is ssl.CERT_OPTIONAL


def test_changed_files_are_read_once_and_faulty_ones_are_left(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    tls = ServerTls(Tls(**certificates.settings()))
    assert [tls.refresh(), tls.refresh()] == [False, False]
    certificates.renew()
    assert [tls.refresh(), tls.refresh()] == [True, False]
    (tmp_path / "key.pem").unlink()
    assert [tls.refresh(), tls.refresh()] == [False, False]
    certificates.renew()
    assert tls.refresh()


def test_missing_files_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ServerTls(Tls(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")))
