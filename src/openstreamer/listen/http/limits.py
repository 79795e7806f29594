"""Bounds of the HTTP listener, and the counters that show how they are used."""

from collections import Counter
from dataclasses import dataclass, field

from openstreamer.config.defaults import HTTP_ADDRESSES, HTTP_CONNECTIONS


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Every bound of the listener.

    Attributes:
        max_connections, max_connections_per_address: open connections; more are answered 503 when accepted.
            A trusted proxy is bounded by the first only.
        max_requests_in_flight, max_requests_in_flight_per_address: running requests of all connections; more
            are answered 503. Behind a trusted proxy the address is that of its client.
        header_deadline_s: from the first byte (or the accept) to a complete request head or TLS handshake.
        idle_timeout_s: a kept-alive connection without a request.
        body_deadline_s: a request body that is wanted and of which nothing arrives.
        write_deadline_s: a client that does not take one write buffer's worth of a response.
        max_header_bytes, max_header_fields: a request head, or its trailers; more is answered 431.
        max_pipelined: HTTP/1.1 requests that wait behind the one in service.
        max_concurrent_streams: requests of one HTTP/2 connection.
        max_websocket_message_bytes: a message of a WebSocket client.
        write_buffer_bytes: unsent bytes that one connection may copy before its response waits.
    """

    max_connections: int = HTTP_CONNECTIONS
    max_connections_per_address: int = HTTP_CONNECTIONS // HTTP_ADDRESSES
    max_requests_in_flight: int = 2 * HTTP_CONNECTIONS
    max_requests_in_flight_per_address: int = 4 * (HTTP_CONNECTIONS // HTTP_ADDRESSES)
    header_deadline_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_deadline_s: float = 30.0
    write_deadline_s: float = 60.0
    max_header_bytes: int = 32 * 1024
    max_header_fields: int = 256
    max_pipelined: int = 16
    max_concurrent_streams: int = 128
    max_websocket_message_bytes: int = 1 << 20
    write_buffer_bytes: int = 128 * 1024

    @classmethod
    def of_connections(cls, total: int | None, per_address: int | None) -> "HttpLimits":
        """The limits for so many connections, requests in proportion; None takes the default, which for one
        address is a share of the total."""
        total = total or HTTP_CONNECTIONS
        per_address = per_address or max(1, total // HTTP_ADDRESSES)
        return cls(
            max_connections=total,
            max_connections_per_address=per_address,
            max_requests_in_flight=2 * total,
            max_requests_in_flight_per_address=4 * per_address,
        )

    def sweep_interval_s(self) -> float:
        """How often deadlines are looked at: an eighth of the shortest one, at most a second."""
        shortest_s = min(
            self.header_deadline_s, self.idle_timeout_s, self.body_deadline_s, self.write_deadline_s
        )
        return min(1.0, max(0.01, shortest_s / 8))


@dataclass(slots=True)
class HttpStatistics:
    """Counters since the listener was made. ``refused`` and ``closed`` are by reason, in plain words."""

    open_connections: int = 0
    accepted: int = 0
    requests: int = 0
    requests_in_flight: int = 0
    protocol_errors: int = 0
    app_errors: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
