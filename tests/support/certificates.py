"""Self-signed certificates, as an operator makes them."""

import subprocess
from pathlib import Path


def make_certificate(directory: Path, name: str = "cert") -> tuple[Path, Path]:
    """A certificate of localhost and its key, in PEM files; two of them never fit together."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-out", str(cert), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key
