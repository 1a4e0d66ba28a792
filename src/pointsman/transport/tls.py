"""TLS to providers: the trusted authorities, and the gateway's client certificate."""

import ssl

from pointsman.domain.network import Network


def client_context(network: Network) -> ssl.SSLContext:
    """Build a context that verifies certificate and host name.

    Raises `OSError` for unreadable files, and `ssl.SSLError` for files without a certificate or key.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if network.ca_file is not None:
        context.load_verify_locations(cafile=network.ca_file)
    if network.client_cert is not None:
        # An empty passphrase makes an encrypted key an error; without it OpenSSL would prompt at the terminal.
        context.load_cert_chain(network.client_cert, network.client_key, password="")
    return context


def describe(error: ssl.SSLError) -> str:
    """Return a description of the cause of a TLS error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    reason: str | None = getattr(error, "reason", None)  # absent if the error is not from OpenSSL
    return (reason or str(error)).replace("_", " ").lower()
