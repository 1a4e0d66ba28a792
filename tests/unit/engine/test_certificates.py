"""The claims of a certificate are its names."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fakes.certificates import Authority
from pointsman.engine.certificates import CertificateError, read_certificate


def test_names_are_claims() -> None:
    names = [x509.UniformResourceIdentifier("spiffe://a/b"), x509.DNSName("a.example"), x509.RFC822Name("a@b.example")]
    pem, _ = Authority("clients").certificate(*names, common_name="me")
    certificate = x509.load_pem_x509_certificate(pem)
    claims, expires_at = read_certificate(certificate.public_bytes(Encoding.DER))
    assert expires_at == certificate.not_valid_after_utc.timestamp()
    assert claims["uri"] == ["spiffe://a/b"]
    assert claims["dns"] == ["a.example"]
    assert claims["email"] == ["a@b.example"]
    assert claims["common_name"] == ["me"]
    assert claims["organization"] == []
    assert (claims["subject"], claims["issuer"]) == ("CN=me", "CN=clients")


def test_other_bytes_are_no_certificate() -> None:
    with pytest.raises(CertificateError):
        read_certificate(b"nothing")
