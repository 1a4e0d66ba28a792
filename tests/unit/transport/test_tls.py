"""The default trust in certificates, and the descriptions of TLS errors."""

import ssl

from pointsman.domain.network import Network
from pointsman.transport.tls import client_context, describe


def test_certificates_are_verified_and_old_versions_disabled() -> None:
    context = client_context(Network())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_tls_errors_are_described() -> None:
    assert describe(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")) != ""
    unverified = ssl.SSLCertVerificationError(1, "failed")
    unverified.verify_message = "certificate has expired"
    assert describe(unverified) == "the certificate is not trusted: certificate has expired"
    named = ssl.SSLError(1, "[SSL: X] x")
    named.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    assert describe(named) == "tlsv1 alert protocol version"
