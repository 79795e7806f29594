"""Configuration as clients see it."""

from typing import Any

from openstreamer.config.models import GlobalConfig, Hook, Policy, Stream, Template
from openstreamer.config.secrets import mask

# What the Go server writes even when it is empty; its consoles read these without asking whether they exist.
_ALWAYS_PRESENT: dict[type, dict[str, Any]] = {
    Stream: {
        "code": "",
        "name": "",
        "description": "",
        "tags": [],
        "stream_key": "",
        "disabled": False,
        "inputs": [],
        "push": [],
    },
    Template: {"code": "", "name": "", "description": "", "push": []},
    Policy: {"code": "", "name": "", "require_token": False},
    Hook: {
        "id": "",
        "name": "",
        "type": "http",
        "target": "",
        "secret": "",
        "enabled": False,
        "max_retries": 0,
        "timeout_sec": 0,
    },
    GlobalConfig: {},
}


def api_document(spec: Stream | Template | Policy | Hook | GlobalConfig) -> dict[str, Any]:
    """What the operator said, secrets masked, with the empty fields that Go clients expect.

    Sending the result back changes nothing: empty means unset, and a mask keeps the stored secret.
    """
    present = {
        key: list(value) if isinstance(value, list) else value
        for key, value in _ALWAYS_PRESENT[type(spec)].items()
    }
    return present | mask(spec.document())
