"""The claims in a client certificate. The TLS library has verified it against the configured authorities."""

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from pointsman.domain.callers import Claims

_NAMES = {
    "common_name": NameOID.COMMON_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
}


class CertificateError(Exception):
    """A certificate is refused. The message has the reason, for the log."""


def read_certificate(data: bytes) -> tuple[Claims, float]:
    """Return the claims of a certificate in DER, each a list of texts, and the end of its validity in Unix seconds.
    `subject`, `issuer` and `fingerprint` are texts. Raises `CertificateError`."""
    try:
        certificate = x509.load_der_x509_certificate(data)
        claims: dict[str, object] = {
            "subject": certificate.subject.rfc4514_string(),
            "issuer": certificate.issuer.rfc4514_string(),
            "fingerprint": certificate.fingerprint(SHA256()).hex(),
        }
        for name, oid in _NAMES.items():
            claims[name] = [str(one.value) for one in certificate.subject.get_attributes_for_oid(oid)]
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            extension = x509.SubjectAlternativeName([])
        claims["uri"] = extension.get_values_for_type(x509.UniformResourceIdentifier)
        claims["dns"] = extension.get_values_for_type(x509.DNSName)
        claims["email"] = extension.get_values_for_type(x509.RFC822Name)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CertificateError(f"it cannot be read: {error}") from None
    return claims, certificate.not_valid_after_utc.timestamp()
