"""Which stream a publish or play path means."""

import pytest

from openstreamer.listen.routing import stream_codes_of
from openstreamer.media.errors import AccessError


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("live/news", ("news", "live/news")),
        ("region/north/news", ("region/north/news",)),
        ("region/north", ("region/north",)),
        ("live/region/north", ("region/north", "live/region/north")),
        ("live/live", ("live", "live/live")),
        ("live/live/live", ("live/live", "live/live/live")),
        ("live/config", ("live/config",)),  # "config" alone is a name of the server
    ],
)
def test_a_path_means_these_streams(path: str, codes: tuple[str, ...]) -> None:
    assert stream_codes_of(path) == codes


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("news", "goes as live/news"),
        ("live", "goes as live/<stream>"),
        ("", "goes as live/<stream>"),
        ("streams/news", "may not begin with 'streams'"),
        ("live/ne ws", "A-Za-z0-9"),
        ("live/../etc", "A-Za-z0-9"),
        ("live/n\u00e9ws", "A-Za-z0-9"),
        ("live/" + "x" * 200, "128"),
    ],
)
def test_other_paths_are_refused_with_a_hint(path: str, said: str) -> None:
    with pytest.raises(AccessError, match=said):
        stream_codes_of(path)


@pytest.mark.parametrize(
    "path",
    [
        "live/k1?key=LEAK",
        "live/k1&key=LEAK",
        "live/k1;key=LEAK",
        "live/k1/key=LEAK",
        "live/k1 key=LEAK",
        "live&key=LEAK/k1",
        "k1&key=LEAK",
        "k1:LEAK@live/k1",
        "live/k1\nkey=LEAK",
        "live/k1\u00e9LEAK",
    ],
)
def test_a_key_that_was_typed_in_a_wrong_way_is_not_repeated(path: str) -> None:
    with pytest.raises(AccessError) as refused:
        stream_codes_of(path)
    assert "LEAK" not in str(refused.value)
    assert "k1" in str(refused.value) or "live..." in str(refused.value)
