"""Build hook: a wheel carries the pages, so `pip install .` builds them first when npm is there, and a file
that says of which commit it was built and when.

An editable installation is left alone: `make pages` builds them in place, and the server says so when they
are missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = Path("src/openstreamer/control/pages/dist/index.html")


class PagesBuildHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        self._say_what_is_built(root, build_data)
        if not (root / PAGES).exists():
            self._build_pages(root)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def _say_what_is_built(self, root: Path, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, str(root / "src"))
        from openstreamer.build_info import BUILD_FILE, write_build  # needs no dependency

        self._scratch = tempfile.TemporaryDirectory()
        file = Path(self._scratch.name) / BUILD_FILE
        # https://reproducible-builds.org/specs/source-date-epoch/
        write_build(root, file, float(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))
        build_data["force_include"][str(file)] = f"openstreamer/{BUILD_FILE}"

    def _build_pages(self, root: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            print("npm is missing: the start page and the player are not built", file=sys.stderr)
            return
        for arguments in (["ci", "--omit=dev", "--silent"], ["run", "--silent", "build"]):
            subprocess.run([npm, "--prefix", "web", *arguments], cwd=root, check=True)
