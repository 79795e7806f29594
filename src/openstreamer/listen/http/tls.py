"""TLS contexts for the listeners, and their certificate while it is renewed."""

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from openstreamer.config.global_config import GlobalConfig
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
        context.load_cert_chain(cert_path, key_path, password=_no_passphrase)
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
        return _refusal("key", f"the key in {key_path} does not belong to {cert_path}")
    if "BEGIN CERTIFICATE" not in Path(cert_path).read_text("utf-8", "replace"):
        return _refusal("cert", f"{cert_path} holds no PEM certificate")
    return _refusal("key", f"{key_path} holds no usable private key (PEM, without a passphrase)")


def _refusal(name: str, reason: str) -> ConfigError:
    return ConfigError(f"server.tls.{name}: {reason}", field=f"server.tls.{name}")


def check_certificate(before: GlobalConfig, wanted: GlobalConfig) -> None:
    """Refuse settings that name another certificate than before, and one that could not be served.

    A certificate that was named before is not looked at: its file may be gone for the moment, which must not
    stand in the way of other changes.

    Raises:
        ConfigError: naming the field, as :func:`tls_context` does.
    """
    tls = wanted.server.tls
    if tls.cert and tls != before.server.tls:
        tls_context(tls.cert, tls.key)


class Certificate:
    """The certificate that all listeners present. A renewal reaches every context that was made of it:
    connections accepted from then on get the new chain, open ones go on."""

    def __init__(self, cert_path: str, key_path: str) -> None:
        self._paths = cert_path, key_path
        self._contexts: list[ssl.SSLContext] = []
        self._seen = self._stamp()

    def context(self, alpn: Sequence[str]) -> ssl.SSLContext:
        """A context of a listener; raises as :func:`tls_context`."""
        context = tls_context(*self._paths, alpn)
        self._contexts.append(context)
        return context

    def renew(self, cert_path: str, key_path: str) -> bool:
        """Present the files of these names, if their names or what is in them changed; returns whether.

        Raises:
            ConfigError: they cannot be used; what was presented before stays.
        """
        paths, seen = (cert_path, key_path), self._paths
        self._paths = paths
        stamp = self._stamp()
        if paths == seen and stamp == self._seen:
            return False
        self._seen = stamp  # bad files are complained about once, not at each look
        tls_context(*paths, ())
        for context in self._contexts:
            context.load_cert_chain(*paths, password=_no_passphrase)
        return True

    def _stamp(self) -> tuple[object, ...]:
        """What changes when one of the files is written or replaced."""
        return tuple(map(_file_stamp, self._paths))


def _file_stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _no_passphrase() -> bytes:
    """A passphrase of None would make OpenSSL ask for one on the terminal."""
    return b""
