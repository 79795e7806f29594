"""Certificate files that cannot be used are named."""

import subprocess
from pathlib import Path

import pytest

from openstreamer.config.models import GlobalConfig
from openstreamer.listen.http.tls import check_certificate, tls_context
from openstreamer.media.errors import ConfigError


def test_a_missing_file_is_named(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with pytest.raises(ConfigError, match=f"cannot read {missing}: no such file") as caught:
        tls_context(certificate[0], missing)
    assert caught.value.field == "server.tls.key"


def test_a_file_that_is_no_certificate_is_named(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    nonsense = tmp_path / "cert.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigError, match=f"{nonsense} holds no PEM certificate"):
        tls_context(nonsense, certificate[1])


def test_a_key_of_another_certificate_is_told_apart(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genrsa", "-out", other, "2048"], check=True, capture_output=True)
    with pytest.raises(ConfigError, match=f"the key in {other} does not belong to {certificate[0]}"):
        tls_context(certificate[0], other)


def test_a_key_with_a_passphrase_is_refused_without_a_prompt(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", certificate[1], "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ConfigError, match=f"{locked} holds no usable private key"):
        tls_context(certificate[0], locked)


def test_settings_with_another_certificate_are_tried_and_a_known_one_is_not(
    certificate: tuple[Path, Path],
) -> None:
    known = GlobalConfig.model_validate({"server": {"tls": {"cert": "/gone.pem", "key": "/gone.key"}}})
    check_certificate(known, known)
    check_certificate(known, GlobalConfig())
    good = {"cert": str(certificate[0]), "key": str(certificate[1])}
    check_certificate(known, GlobalConfig.model_validate({"server": {"tls": good}}))
    with pytest.raises(ConfigError, match=r"^server\.tls\.cert: cannot read /gone\.pem"):
        check_certificate(GlobalConfig(), known)
