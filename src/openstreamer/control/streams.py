"""``/streams``: declare, change, list, remove and restart streams (contract, section 1)."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Path, Query, Request, Response

from openstreamer.control import audit
from openstreamer.control.bodies import json_object
from openstreamer.control.documents import StreamDocuments, json_response, not_running
from openstreamer.control.errors import ApiError
from openstreamer.control.front import principal_of
from openstreamer.control.operations import answers, answers_nothing, takes_json
from openstreamer.control.ports import StreamControl
from openstreamer.control.preconditions import is_stored, wanted_revision
from openstreamer.media.errors import OpenstreamerError
from openstreamer.store.breath import breathe
from openstreamer.store.records import StreamRecord
from openstreamer.store.store import Store
from openstreamer.stream.status import StreamRuntime, StreamStatus

logger = structlog.get_logger(__name__)

Code = Annotated[str, Path(description="Stream code; may contain slashes", examples=["news", "region/north"])]
IfMatch = Annotated[str | None, Header(description="Revision that the change is meant for")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: create only, change nothing that exists")]
StatusFilter = Annotated[str | None, Query(description="idle, active, degraded or stopped")]

READ_ONLY_NOTE = (
    "Fields that only the server writes (`runtime`, `source`, `revision`, `created_at`, `updated_at`) "
    "are ignored, so that a document that was read can be sent back."
)


def not_found(code: str) -> ApiError:
    """There is no such stream."""
    return ApiError(404, "STREAM_NOT_FOUND", f"there is no stream {code!r}")


class StreamRoutes:
    """The handlers of ``/streams``."""

    def __init__(self, store: Store, streams: StreamControl) -> None:
        self._store = store
        self._streams = streams
        self._documents = StreamDocuments()

    def router(self) -> APIRouter:
        """The routes; an action is matched before a code that could contain its name."""
        router = APIRouter(tags=["streams"])
        router.add_api_route(
            "/streams",
            self.list,
            methods=["GET"],
            summary="List streams",
            **answers("StreamListBody", 400, 503),
        )
        router.add_api_route("/streams/", self.list, methods=["GET"], include_in_schema=False)
        router.add_api_route(
            "/streams/{code:path}/restart",
            self.restart,
            methods=["POST"],
            summary="Restart a stream",
            description="Stops the stream in full and builds it anew from its stored record.",
            **answers("ActionBody", 400, 404, 503),
        )
        self._add_record_routes(router)
        return router

    def _add_record_routes(self, router: APIRouter) -> None:
        path = "/streams/{code:path}"
        router.add_api_route(
            path,
            self.get,
            methods=["GET"],
            summary="One stream",
            **answers("StreamBody", 404, 503),
        )
        for method, note in (("POST", ""), ("PUT", "The same as POST. ")):
            router.add_api_route(
                path,
                self.put,
                methods=[method],
                name=f"{method.lower()}_stream",
                summary="Create a stream or change the given fields",
                description=f"{note}Null clears a field. {READ_ONLY_NOTE}",
                **answers("StreamBody", 400, 404, 412, 413, 503, created=True),
                openapi_extra=takes_json("StreamPatch"),
            )
        router.add_api_route(
            path,
            self.delete,
            methods=["DELETE"],
            summary="Remove a stream",
            **answers_nothing(400, 404, 412, 503),
        )

    async def list(self, status: StatusFilter = None) -> Response:
        """Every stream: its stored record, overrides only, and what is observed of it. Those whose record
        cannot be used are named in `invalid`, which is there with them only."""
        wanted = _status_filter(status)
        records = await self._store.list_streams()
        self._documents.keep_only(record.spec.code for record in records)
        shown: list[tuple[StreamRecord, StreamRuntime]] = []
        for count, record in enumerate(records, 1):
            await breathe(count)
            runtime = self._streams.runtime(record.spec.code) or not_running(record)
            if wanted is None or runtime.status is wanted:
                shown.append((record, runtime))
        return await self._documents.list_response(shown, self._store.invalid_streams)

    async def get(self, code: Code) -> Response:
        """One stream."""
        return self._shown(await self._stored(code))

    async def put(
        self, code: Code, request: Request, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
    ) -> Response:
        """Create or merge; answered when it is stored and the running stream was told."""
        patch = await json_object(request)
        revision = await self._revision(code, if_match, if_none_match)
        record, created = await self._store.put_stream(code, patch, if_match=revision)
        action = "stream.created" if created else "stream.updated"
        audit.record(principal_of(request.scope), action, code, audit.field_names(patch))
        await self._apply(code)
        return self._shown(record, 201 if created else 200)

    async def delete(self, code: Code, request: Request, if_match: IfMatch = None) -> Response:
        """Remove; answered when it is gone from the store and stopped."""
        revision = await self._revision(code, if_match)
        if not await self._store.delete_stream(code, if_match=revision):
            raise not_found(code)
        audit.record(principal_of(request.scope), "stream.deleted", code)
        await self._apply(code)
        return Response(status_code=204)

    async def restart(self, code: Code, request: Request) -> Response:
        """Restart; a stream that is not wanted cannot be."""
        record = await self._stored(code)
        if record.spec.disabled:
            raise ApiError(400, "STREAM_DISABLED", f"stream {code} is disabled; enable it to start it")
        if self._streams.runtime(code) is None:
            await self._streams.apply(code)
        else:
            await self._streams.restart(code)
        audit.record(principal_of(request.scope), "stream.restarted", code)
        return json_response({"data": {"status": "restarted"}})

    async def _stored(self, code: str) -> StreamRecord:
        record = await self._store.get_stream(code)
        if record is None:
            raise not_found(code)
        return record

    async def _revision(
        self, code: str, if_match: str | None, if_none_match: str | None = None
    ) -> int | None:
        exists = if_match is not None and await is_stored(self._store.get_stream(code))
        return wanted_revision(if_match, if_none_match, exists=exists)

    async def _apply(self, code: str) -> None:
        """What is stored is what is wanted: a stream that cannot become so now says why in its runtime, and
        the reconciler tries again. The change itself has succeeded."""
        try:
            await self._streams.apply(code)
        except OpenstreamerError as err:
            logger.warning("apply_failed", stream=code, error=str(err))

    def _shown(self, record: StreamRecord, status: int = 200) -> Response:
        return self._documents.response(record, self._streams.runtime(record.spec.code), status)


def _status_filter(text: str | None) -> StreamStatus | None:
    if not text:
        return None
    try:
        return StreamStatus(text)
    except ValueError as err:
        known = ", ".join(status.value for status in StreamStatus)
        raise ApiError(400, "INVALID_QUERY", f"status is one of {known}") from err
