"""Bounds of the RTMP listener, and the counters that show how they are used."""

from collections import Counter
from dataclasses import dataclass, field

from openstreamer.sources.batches import QueueLimits
from openstreamer.wire.flv import FlvLimits
from openstreamer.wire.rtmp import DEFAULT_CHUNK_BYTES, RtmpLimits


@dataclass(frozen=True, slots=True)
class RtmpListenerLimits:
    """Every bound of the listener.

    Attributes:
        max_connections, max_connections_per_address: open connections; more are closed when accepted.
        handshake_deadline_s: from the accept to the end of the RTMP handshake (the TLS one included).
        publish_deadline_s: from there to an accepted publication.
        silence_deadline_s: a publisher of which nothing arrives, a vanished one for instance. Inputs are
            given up sooner; this frees the connection of one that is not read either.
        linger_s: how long a peer that was sent away may take to read why, and one that finished to close.
        max_bytes_before_publish: handshake and commands; they take about 4 kB.
        log_window_s, logged_lines_per_address, logged_addresses: so many lines in a window tell of refusals
            and broken protocols of one address, and so many addresses are told apart; the window's last line
            says how many were left out.
        chunk_bytes: the chunk size that is announced, and used by most encoders from then on.
    """

    max_connections: int = 4096
    max_connections_per_address: int = 256
    handshake_deadline_s: float = 10.0
    publish_deadline_s: float = 10.0
    silence_deadline_s: float = 30.0
    linger_s: float = 1.0
    max_bytes_before_publish: int = 64 << 10
    log_window_s: float = 60.0
    logged_lines_per_address: int = 5
    logged_addresses: int = 64
    chunk_bytes: int = DEFAULT_CHUNK_BYTES
    protocol: RtmpLimits = field(default_factory=RtmpLimits)
    demuxing: FlvLimits = field(default_factory=FlvLimits)
    queue: QueueLimits = field(default_factory=QueueLimits)


@dataclass(slots=True)
class RtmpStatistics:
    """Counters since the listener was made.

    ``refused`` is by reason: that of a refused publication (``wrong_key``, ``occupied`` …), ``invalid_path``,
    ``play``, ``media``, ``connections``, ``connections_per_address``, ``deadline``, ``out_of_resources``.
    """

    open_connections: int = 0
    publishing: int = 0
    accepted: int = 0
    published: int = 0
    protocol_errors: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
