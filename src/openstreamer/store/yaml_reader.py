"""Reads large YAML in a child process: seconds of pure Python that would starve the media of the interpreter.

As a program: YAML on stdin; on stdout ``{"document": …}`` or ``{"error": "…"}``.
"""

import asyncio
import json
import os
import sys
from typing import Any, Final

from openstreamer.media.errors import ConfigError
from openstreamer.store.yaml_text import MAX_YAML_CHARS, load_yaml

INLINE_CHARS: Final = 16_384  # up to 0.1 s; less than a child takes to start
DEADLINE_S: Final = 120.0


async def read_yaml(text: str) -> dict[str, Any]:
    """As :func:`load_yaml`, without holding up the event loop."""
    if len(text) <= INLINE_CHARS or len(text) > MAX_YAML_CHARS:
        return await asyncio.to_thread(load_yaml, text)
    answer = await _ask_child(text.encode("utf-8", "surrogatepass"))
    if "error" in answer:
        raise ConfigError(answer["error"], code="INVALID_YAML")
    document: dict[str, Any] = answer["document"]
    return document


async def _ask_child(text: bytes) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openstreamer.store.yaml_reader"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await child.communicate(text)
        answer: dict[str, Any] = json.loads(output)
    except (TimeoutError, ValueError) as err:
        raise ConfigError("the document could not be read in time", code="INVALID_YAML") from err
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return answer


def _main() -> None:
    os.nice(10)
    text = sys.stdin.buffer.read(4 * MAX_YAML_CHARS).decode("utf-8", "surrogatepass")
    try:
        answer: dict[str, Any] = {"document": load_yaml(text)}
    except ConfigError as err:
        answer = {"error": str(err)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main()
