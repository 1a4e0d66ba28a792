"""Certificates of the gateway and of its clients, signed by authorities of the tests."""

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """An authority for clients. It signs names of any kind."""

    def __init__(self, name: str = "clients") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        built = self._build(self._name, self._key.public_key(), datetime.now(UTC) + timedelta(days=1))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = built.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def certificate(
        self, *names: x509.GeneralName, common_name: str = "client", not_after: datetime | None = None
    ) -> tuple[bytes, bytes]:
        """Return a client's certificate and its key in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = self._build(_name(common_name), key.public_key(), not_after or datetime.now(UTC) + timedelta(days=1))
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        if names:
            built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return built.sign(self._key, SHA256()).public_bytes(Encoding.PEM), private

    def _build(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, not_after: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=2))
            .not_valid_after(not_after)
        )


class Certificates:
    """The authorities of a gateway and of its clients, and the gateway's files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.of_server, self.of_clients = trustme.CA(), Authority()
        self.renew()
        self.trust_clients(self.of_clients)

    def renew(self) -> None:
        """Replace the files of the gateway's certificate."""
        own = self.of_server.issue_cert("localhost", "127.0.0.1")
        own.private_key_pem.write_to_path(self.folder / "key.pem")
        (self.folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))

    def trust_clients(self, *authorities: Authority) -> None:
        """Replace the file of the authorities for clients."""
        (self.folder / "clients.pem").write_bytes(b"".join(one.pem for one in authorities))

    def settings(self, **fields: Any) -> dict[str, Any]:
        """Return the settings of a listener that asks clients for certificates."""
        files = {"cert_file": "cert.pem", "key_file": "key.pem", "client_ca_file": "clients.pem"}
        return {name: str(self.folder / file) for name, file in files.items()} | fields

    def context(self, uri: str | None = None, authority: Authority | None = None, **fields: Any) -> ssl.SSLContext:
        """Return the TLS of a client. With a URI or `fields`, it presents a certificate."""
        context = ssl.create_default_context()
        self.of_server.configure_trust(context)
        if uri is not None or fields:
            names = [x509.UniformResourceIdentifier(uri)] if uri is not None else []
            certificate, key = (authority or self.of_clients).certificate(*names, **fields)
            with tempfile.NamedTemporaryFile(dir=self.folder) as file:
                file.write(certificate + key)
                file.flush()
                context.load_cert_chain(file.name)
        return context
