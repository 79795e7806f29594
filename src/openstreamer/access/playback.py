"""Who may watch a stream: the one decision that every protocol asks for before it serves anything.

Nobody may when it cannot be made: an unknown policy denies (CONTRACT 3), and a policy that this version
cannot carry out is not known to it.
"""

from openstreamer.config.support import PLAYBACK_POLICIES
from openstreamer.media.errors import AccessError


def require_playback(policy_code: str | None) -> None:
    """Let a viewer watch a stream whose resolved specification names ``policy_code``.

    Raises:
        AccessError: ``PLAYBACK_DENIED``. The words go to the viewer, and do not say which policy it is.
    """
    if policy_code is not None:
        raise AccessError(f"this stream has a playback policy: {PLAYBACK_POLICIES}", code="PLAYBACK_DENIED")
