"""What a global configuration asks of this machine, tried before it is stored: a certificate that can be
presented, a directory that can be written to."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from openstreamer.config.models import GlobalConfig
from openstreamer.listen.http.tls import check_certificate
from openstreamer.media.errors import ConfigError

PATIENCE_S: Final = 5.0  # for a disk; a network file system that is away may not answer at all


async def check_settings(before: GlobalConfig, wanted: GlobalConfig) -> None:
    """Refuse what ``wanted`` names anew and this machine cannot do. What was named before is not looked at:
    it may be away for the moment, which must not stand in the way of other changes.

    Raises:
        ConfigError: naming the field.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.to_thread(_try, before, wanted)
    except TimeoutError as err:
        raise ConfigError(
            f"the files that the configuration names were not reached within {PATIENCE_S:g} s"
        ) from err


def _try(before: GlobalConfig, wanted: GlobalConfig) -> None:
    check_certificate(before, wanted)
    directory = wanted.publisher.hls.dir
    if directory and directory != before.publisher.hls.dir:
        check_directory(Path(directory), field="publisher.hls.dir")


def check_directory(directory: Path, *, field: str) -> None:
    """Make the directory and write a file into it, which goes again; raises ConfigError for ``field``."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0")
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else str(err)
        raise ConfigError(f"{field}: {directory} cannot be written to: {reason}", field=field) from err
