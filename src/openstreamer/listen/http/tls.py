"""TLS contexts for the listeners."""

import ssl
from collections.abc import Sequence
from pathlib import Path

from openstreamer.media.errors import ConfigError

HTTP_ALPN = ("h2", "http/1.1")  # RFC 7301 identifiers, the preferred first


def tls_context(
    cert_path: str | Path, key_path: str | Path, alpn: Sequence[str] = HTTP_ALPN
) -> ssl.SSLContext:
    """A server context (TLS 1.2 and up) from PEM files: the certificate chain and its private key.

    Raises:
        ConfigError: a file cannot be read, is not PEM, or the key does not fit; the message names the file.
    """
    for path, field in ((cert_path, "server.tls.cert"), (key_path, "server.tls.key")):
        _require_readable(path, field)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # A passphrase of None would make OpenSSL ask for one on the terminal.
        context.load_cert_chain(cert_path, key_path, password=lambda: b"")
    except ssl.SSLError as err:
        raise _unusable(cert_path, key_path, err) from err
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _require_readable(path: str | Path, field: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ConfigError(f"{field}: cannot read {path}: {reason}", field=field) from err


def _unusable(cert_path: str | Path, key_path: str | Path, err: ssl.SSLError) -> ConfigError:
    if err.reason == "KEY_VALUES_MISMATCH":
        return ConfigError(f"the key in {key_path} does not belong to {cert_path}", field="server.tls.key")
    if "BEGIN CERTIFICATE" not in Path(cert_path).read_text("utf-8", "replace"):
        return ConfigError(f"{cert_path} holds no PEM certificate", field="server.tls.cert")
    return ConfigError(
        f"{key_path} holds no usable private key (PEM, without a passphrase)", field="server.tls.key"
    )
