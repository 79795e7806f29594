"""Where peers live: directories, free ports, and an nginx with the rtmp module."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.originals import Originals
from tests.support.server import peer, until

VOD = "vod"  # the mount of the originals
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_NGINX = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{}}
rtmp {{
  server {{
    listen 127.0.0.1:{rtmp};
    application live {{ live on; }}
    application hls {{
      live on; hls on; hls_path {root}/nginx-hls; hls_fragment 1s; hls_playlist_length 20s;
    }}
  }}
}}
http {{
  access_log off; default_type application/octet-stream;
  types {{
    video/mp2t ts; video/x-flv flv; application/vnd.apple.mpegurl m3u8; video/mp4 mp4 m4s; audio/aac aac;
  }}
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{http}; root {root}; location /vod/ {{ alias {vod}/; }} }}
}}
"""


@dataclass(frozen=True)
class Site:
    """What a case needs to start its peer. ``root`` is what nginx serves, ``/vod/`` the originals."""

    directory: Path
    originals: Originals
    http_port: int
    rtmp_port: int

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def http(self, path: str) -> str:
        """The URL of a path on nginx."""
        return f"http://127.0.0.1:{self.http_port}/{path}"

    def rtmp(self, path: str) -> str:
        """The URL of a stream on nginx."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{path}"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that nothing uses."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_site(directory: Path, originals: Originals) -> Iterator[Site]:
    """nginx, listening for HTTP and RTMP, as long as the block."""
    program = shutil.which("nginx", path=_PATH)
    assert program is not None, "no nginx on this machine: run `scripts/system_packages.sh test`"
    site = Site(directory, originals, free_port(), free_port())
    (site.root / "nginx-hls").mkdir(parents=True)
    configuration = directory / "nginx.conf"
    # Unless told otherwise, root's workers may not read the files of a test.
    user = "user root;" if os.geteuid() == 0 else ""
    ports = {"http": site.http_port, "rtmp": site.rtmp_port}
    places = {"directory": directory, "root": site.root, "vod": originals.directory}
    configuration.write_text(_NGINX.format(user=user, **ports, **places))
    command = (program, "-c", str(configuration), "-e", str(directory / "nginx.log"))
    with peer(*command, log=directory / "nginx.out"):
        until(lambda: all(map(_accepts, ports.values())), "nginx listens")
        yield site


def _accepts(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
