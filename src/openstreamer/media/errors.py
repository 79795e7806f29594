"""The exception tree of the server.

::

    OpenstreamerError
    ├── ConfigError                what an operator said cannot be; names the field
    ├── ProtocolError
    │   ├── LocalProtocolError     we were asked to send what the protocol forbids now
    │   └── RemoteProtocolError    the peer sent what the protocol forbids
    ├── MediaError                 a codec header or container cannot be understood
    ├── SourceError
    │   ├── SourceEnded            the source finished on purpose
    │   ├── SourceStalled          it is connected and says nothing
    │   ├── SourceUnreachable      it cannot be connected, or the connection was lost
    │   ├── SourceReplaced         another publisher took its place
    │   └── SourceRejected         the peer or its media is refused: retrying at once is pointless
    ├── HubClosed                  reading or writing a hub that is over
    │   ├── HubEnded               closed on purpose
    │   └── HubBroken              closed by a fault
    ├── SinkError
    ├── TranscodeError
    ├── StoreError                 the durable configuration cannot be read or written
    └── AccessError                who asks may not

Errors of third-party libraries are converted once, at the boundary, with ``from err``.
"""


class OpenstreamerError(Exception):
    """Root of everything the server raises on purpose."""


class ConfigError(OpenstreamerError):
    """A setting is wrong. ``field`` is its dotted path, ``code`` the API's UPPER_SNAKE error code."""

    def __init__(self, message: str, *, field: str = "", code: str = "INVALID_CONFIG") -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class ProtocolError(OpenstreamerError):
    """A rule of a wire protocol was broken."""


class LocalProtocolError(ProtocolError):
    """This side asked its own state machine for something the protocol forbids in this state."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something malformed, oversized or out of order."""


class MediaError(OpenstreamerError):
    """A codec header, access unit or container structure cannot be understood."""


class SourceError(OpenstreamerError):
    """An input cannot deliver frames."""


class SourceEnded(SourceError):  # noqa: N818 - an end is not an error, and reads so
    """The source said that it is finished."""


class SourceStalled(SourceError):  # noqa: N818
    """The source is connected but delivered nothing within its deadline."""


class SourceUnreachable(SourceError):  # noqa: N818
    """The source cannot be connected, or its connection broke."""


class SourceReplaced(SourceError):  # noqa: N818
    """Another publisher took the place of this one."""


class SourceRejected(SourceError):  # noqa: N818
    """The peer refused us, or sends what we cannot carry (the message says what)."""


class HubClosed(OpenstreamerError):  # noqa: N818
    """The hub has no more frames for this end."""


class HubEnded(HubClosed):
    """The hub was closed on purpose: the stream stopped."""


class HubBroken(HubClosed):
    """The hub was closed because what feeds it failed for good."""


class SinkError(OpenstreamerError):
    """A player or push destination cannot take frames."""


class TranscodeError(OpenstreamerError):
    """A transcoding child failed."""


class StoreError(OpenstreamerError):
    """The store cannot be opened, read or written. ``code`` is the API's UPPER_SNAKE error code."""

    def __init__(self, message: str, *, code: str = "STORE_ERROR") -> None:
        super().__init__(message)
        self.code = code


class AccessError(OpenstreamerError):
    """Who asks may not do this. ``code`` is the API's UPPER_SNAKE error code."""

    def __init__(self, message: str, *, code: str = "FORBIDDEN") -> None:
        super().__init__(message)
        self.code = code
