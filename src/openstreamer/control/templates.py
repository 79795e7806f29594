"""``/templates``: settings that streams share (contract, section 1)."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Path, Request, Response

from openstreamer.control import audit
from openstreamer.control.bodies import json_object
from openstreamer.control.documents import json_response, template_document
from openstreamer.control.errors import ApiError
from openstreamer.control.front import principal_of
from openstreamer.control.operations import answers, answers_nothing, takes_json
from openstreamer.control.ports import StreamControl
from openstreamer.control.preconditions import is_stored, wanted_revision
from openstreamer.media.errors import ConfigError, OpenstreamerError
from openstreamer.store.store import Store

logger = structlog.get_logger(__name__)

Code = Annotated[str, Path(description="Template code", examples=["sport"])]
IfMatch = Annotated[str | None, Header(description="Revision that the change is meant for")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: create only, change nothing that exists")]


class TemplateRoutes:
    """The handlers of ``/templates``. A change reaches every stream that inherits from it."""

    def __init__(self, store: Store, streams: StreamControl) -> None:
        self._store = store
        self._streams = streams

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["templates"])
        router.add_api_route(
            "/templates",
            self.list,
            methods=["GET"],
            summary="List templates",
            **answers("TemplateListBody", 503),
        )
        path = "/templates/{code}"
        router.add_api_route(
            path,
            self.get,
            methods=["GET"],
            summary="One template",
            **answers("TemplateBody", 404, 503),
        )
        for method in ("POST", "PUT"):
            router.add_api_route(
                path,
                self.put,
                methods=[method],
                name=f"{method.lower()}_template",
                summary="Create a template or change the given fields",
                description="Null clears a field. Every stream that inherits from it follows.",
                **answers("TemplateBody", 400, 409, 412, 413, 503, created=True),
                openapi_extra=takes_json("TemplatePatch"),
            )
        router.add_api_route(
            path,
            self.delete,
            methods=["DELETE"],
            summary="Remove a template that no stream uses",
            **answers_nothing(400, 404, 409, 412, 503),
        )
        return router

    async def list(self) -> Response:
        """Every template."""
        templates = [template_document(record) for record in await self._store.list_templates()]
        return json_response({"data": templates, "total": len(templates)})

    async def get(self, code: Code) -> Response:
        """One template."""
        record = await self._store.get_template(code)
        if record is None:
            raise _not_found(code)
        return json_response({"data": template_document(record)}, 200, record.revision)

    async def put(
        self, code: Code, request: Request, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
    ) -> Response:
        """Create or merge."""
        patch = await json_object(request)
        revision = await self._revision(code, if_match, if_none_match)
        try:
            record, created = await self._store.put_template(code, patch, if_match=revision)
        except ConfigError as err:
            if err.field.startswith("prefixes"):  # the contract has a code of its own for them
                raise ConfigError(str(err), field=err.field, code="INVALID_PREFIX") from err
            raise
        action = "template.created" if created else "template.updated"
        audit.record(principal_of(request.scope), action, code, audit.field_names(patch))
        await self._apply_all()
        return json_response({"data": template_document(record)}, 201 if created else 200, record.revision)

    async def delete(self, code: Code, request: Request, if_match: IfMatch = None) -> Response:
        """Remove; refused while a stream uses it."""
        revision = await self._revision(code, if_match)
        if not await self._store.delete_template(code, if_match=revision):
            raise _not_found(code)
        audit.record(principal_of(request.scope), "template.deleted", code)
        return Response(status_code=204)

    async def _revision(
        self, code: str, if_match: str | None, if_none_match: str | None = None
    ) -> int | None:
        exists = if_match is not None and await is_stored(self._store.get_template(code))
        return wanted_revision(if_match, if_none_match, exists=exists)

    async def _apply_all(self) -> None:
        try:
            await self._streams.apply_all()
        except OpenstreamerError as err:  # the reconciler tries again
            logger.warning("apply_failed", error=str(err))


def _not_found(code: str) -> ApiError:
    return ApiError(404, "TEMPLATE_NOT_FOUND", f"there is no template {code!r}")
