"""The serving process loads what it needs and nothing more."""

import json
import subprocess
import sys

import pytest

# What a server does not need before somebody asks for it.
LOADED_LATER = ("alembic", "asyncpg", "av", "PIL", "pygments", "rich", "ruamel", "sqlalchemy.orm")


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """The modules that a server has loaded once its code is there."""
    program = (
        "import json, sys; from openstreamer import cli, footprint; footprint.load_lean();"
        "import openstreamer.app; footprint.settle(); print(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules: list[str] = json.loads(result.stdout)
    return modules


@pytest.mark.parametrize("name", LOADED_LATER)
def test_a_server_starts_without(name: str, loaded: list[str]) -> None:
    assert "openstreamer.app" in loaded
    assert name not in loaded


@pytest.mark.parametrize("later", ["rich.console", "sqlalchemy.orm", "sqlalchemy.ext.asyncio.session"])
def test_what_was_kept_out_can_still_be_imported(later: str) -> None:
    program = f"from openstreamer import footprint; footprint.load_lean(); import {later}"
    subprocess.run([sys.executable, "-c", program], check=True)
