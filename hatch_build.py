"""Build hook: a wheel carries the pages, so `pip install .` builds them first when npm is there.

An editable installation is left alone: `make pages` builds them in place, and the server says so when they
are missing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = Path("src/openstreamer/control/pages/dist/index.html")


class PagesBuildHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable" or (root / PAGES).exists():
            return
        npm = shutil.which("npm")
        if npm is None:
            print("npm is missing: the start page and the player are not built", file=sys.stderr)
            return
        for arguments in (["ci", "--omit=dev", "--silent"], ["run", "--silent", "build"]):
            subprocess.run([npm, "--prefix", "web", *arguments], cwd=root, check=True)
