"""How routes name the shapes of their answers and bodies in the OpenAPI document.

Only names: handlers encode their answers by themselves, so the framework needs no models of them; those
behind the names are in :mod:`openstreamer.control.schemas`.
"""

from typing import Any

from fastapi import Response

REF_PREFIX = "#/components/schemas/"

REFUSALS = {
    400: "Malformed, or a setting that cannot be; the message names the field",
    401: "Log in with Basic or Bearer",
    403: "Not from there, not from that page, or not with that role",
    404: "No such thing",
    409: "In conflict with something else",
    412: "It was changed meanwhile: the revision of If-Match is not the stored one",
    413: "The body is larger than 1 MiB",
    429: "Too many failed logins",
    503: "The store does not answer, or the server is not ready",
}

Route = dict[str, Any]


def answers(schema: str, *refusals: int, created: bool = False) -> Route:
    """The arguments of a route that answers JSON of ``schema``, and refuses with ``refusals``."""
    responses = {200: _json("Success", schema)}
    if created:
        responses[201] = _json("Created", schema)
    return {"response_class": Response, "responses": responses | _refusals(*refusals)}


def answers_text(content_type: str, schema_type: str, *refusals: int) -> Route:
    """The arguments of a route that answers something else than JSON."""
    content = {content_type: {"schema": {"type": schema_type}}}
    success = {200: {"description": "Success", "content": content}}
    return {"response_class": Response, "responses": success | _refusals(*refusals)}


def answers_nothing(*refusals: int) -> Route:
    """The arguments of a route that answers 204."""
    return {"response_class": Response, "status_code": 204, "responses": _refusals(*refusals)}


def takes_json(schema: str) -> dict[str, Any]:
    """A request body that is an object of ``schema``; an empty one says nothing."""
    content = {"application/json": {"schema": {"$ref": REF_PREFIX + schema}}}
    return {"requestBody": {"required": False, "content": content}}


def takes_yaml(content_type: str) -> dict[str, Any]:
    """A request body that is a YAML mapping."""
    return {"requestBody": {"required": True, "content": {content_type: {"schema": {"type": "object"}}}}}


def refusal(status: int) -> dict[str, Any]:
    """The response object of a refusal."""
    return _json(REFUSALS[status], "ErrorBody")


def _refusals(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: refusal(status) for status in statuses}


def _json(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": REF_PREFIX + schema}}}
    return {"description": description, "content": content}
