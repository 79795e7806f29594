"""Who may watch, while policies are not carried out."""

import pytest

from openstreamer.access.playback import require_playback
from openstreamer.media.errors import AccessError


def test_a_stream_without_a_policy_may_be_watched_by_everybody() -> None:
    require_playback(None)


@pytest.mark.parametrize("policy", ["closed", "no-such-policy", ""])
def test_a_policy_that_cannot_be_carried_out_denies(policy: str) -> None:
    with pytest.raises(AccessError, match="nobody may watch") as refused:
        require_playback(policy)
    assert refused.value.code == "PLAYBACK_DENIED"
