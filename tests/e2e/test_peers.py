"""Every source with a real peer that nobody here wrote: what it sends comes out of LL-HLS as it went in.

Access unit by access unit, each at its time, sound with its picture, from the first picture to the end.
``make peers`` does the same for a minute each, and watches it in a browser.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers.cases import CASES, GROUPS
from tests.peers.originals import SIZE, make_originals
from tests.peers.showing import show
from tests.peers.site import VOD, Site, running_site
from tests.support.server import Server, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

CLIP_S = 6
AT_ONCE = 7


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with running_site(directory, make_originals(directory / "originals", CLIP_S)) as running:
        yield running


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    mount = f"{VOD}={site.originals.directory}"
    with running_server(site.directory / "server", "--no-demo", "--file-root", mount) as running:
        yield running


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_peer_sends_comes_out_as_it_went_in(site: Site, server: Server, group: str) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        cases = [case for case in CASES if case.group == group]
        verdicts = list(pool.map(lambda case: show(case, site, server), cases))
    assert {verdict.case.name: verdict.problems for verdict in verdicts if verdict.problems} == {}


def test_what_the_runtime_says_of_a_pulled_input(site: Site, server: Server) -> None:
    server.put_stream("shown", inputs=[{"url": site.http("vod/film.ts"), "priority": 0}])
    shown = server.wait_for_status("shown", "active")["inputs"][0]
    assert shown["protocol"] == "http"
    assert [track["codec"] for track in shown["tracks"]] == ["h264", "aac"]
    assert (shown["tracks"][0]["width"], shown["tracks"][0]["height"]) == SIZE
    assert shown["packet_loss"] == 0
