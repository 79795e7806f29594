"""Refusals of the store that a client can resolve."""

from collections.abc import Mapping
from typing import Any

from openstreamer.media.errors import StoreError


class Conflict(StoreError):  # noqa: N818 - a conflict is a state, and reads so
    """The change contradicts what is stored; nothing was changed.

    ``code``: ``REVISION_CONFLICT`` (the record is not at the revision the client saw), ``TEMPLATE_IN_USE``,
    ``POLICY_IN_USE``, ``PREFIX_OVERLAP``. ``details`` are the members that CONTRACT 1 adds to the answer.
    """

    def __init__(self, message: str, *, code: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, code=code)
        self.details: dict[str, Any] = dict(details or {})
