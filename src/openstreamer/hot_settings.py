"""Carries the stored global configuration over to what runs, while it runs.

Told at once of a change over the API, and looks again every few seconds: the command line or another node may
have changed the store, and certificates are renewed in place by programs that tell nobody.
"""

import asyncio
from typing import Final

import structlog

from openstreamer.access.proxies import TrustedProxies
from openstreamer.config.models import GlobalConfig
from openstreamer.config.notices import waiting_for_restart
from openstreamer.listen.http.media import MediaApp
from openstreamer.listen.http.media_cors import MediaCors
from openstreamer.listen.http.tls import Certificate
from openstreamer.media.errors import ConfigError
from openstreamer.store.store import Store
from openstreamer.stream.tasks import Backoff
from openstreamer.stream.wiring import SourceOpener

logger = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 5.0
BACKOFF: Final = Backoff(1.0, 10.0)  # the store does not answer


class HotSettings:
    """What follows changes of the settings without a restart, streams excepted (they have their reconciler).

    ``started_with`` is what the server read at its start; ``certificate`` is None when it speaks in clear.
    """

    def __init__(
        self,
        started_with: GlobalConfig,
        media: MediaApp,
        certificate: Certificate | None,
        opener: SourceOpener,
        proxies: TrustedProxies,
    ) -> None:
        self._started_with = started_with
        self._media = media
        self._certificate = certificate
        self._opener = opener
        self._proxies = proxies
        self._trusted = started_with.server.trusted_proxies
        proxies.use(self._trusted)
        self._cors = started_with.server.cors
        media.use_cors(MediaCors(self._cors))

    def follow(self, config: GlobalConfig) -> None:
        """Make what runs agree with ``config`` as far as it can without a restart."""
        if config.server.cors != self._cors:
            self._cors = config.server.cors
            self._media.use_cors(MediaCors(self._cors))
        if config.server.trusted_proxies != self._trusted:
            self._trusted = config.server.trusted_proxies
            self._proxies.use(self._trusted)
        self._opener.ingestor = config.ingestor
        tls = config.server.tls
        if self._certificate is not None and tls.cert:
            try:
                if self._certificate.renew(tls.cert, tls.key):
                    logger.info("certificate_renewed", cert=tls.cert)
            except ConfigError as err:
                logger.warning("certificate_kept", error=str(err))

    def waiting_for_restart(self, config: GlobalConfig) -> list[str]:
        """Settings of ``config`` that a restart would bring into force."""
        return waiting_for_restart(self._started_with, config)

    async def follow_for_ever(self, store: Store) -> None:
        """Look into the store, and at the certificate, every few seconds."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.follow(await store.global_config())
