"""``/config``: what this server can do, how it is configured, and what unset fields mean."""

from dataclasses import asdict, fields
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Request, Response

from openstreamer.access.admin import AdminGate
from openstreamer.config import defaults
from openstreamer.config.global_config import GlobalConfig
from openstreamer.config.notices import raised_windows
from openstreamer.config.secrets import mask
from openstreamer.control import audit
from openstreamer.control.bodies import json_object, text_body
from openstreamer.control.documents import json_response
from openstreamer.control.front import principal_of
from openstreamer.control.operations import answers, answers_text, takes_json, takes_yaml
from openstreamer.control.ports import BuildInfo, Ports, RunningSettings, ServerView, StreamControl
from openstreamer.control.preconditions import wanted_revision
from openstreamer.media.errors import OpenstreamerError
from openstreamer.store.records import ImportResult
from openstreamer.store.store import Store

logger = structlog.get_logger(__name__)

YAML_TYPE = "application/yaml"  # RFC 9512

IfMatch = Annotated[str | None, Header(description="Revision that the change is meant for")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if nothing was ever set")]


class SettingsRoutes:
    """The handlers of ``/config``."""

    def __init__(
        self,
        store: Store,
        streams: StreamControl,
        server: ServerView,
        running: RunningSettings,
        build: BuildInfo,
        gate: AdminGate,
    ) -> None:
        self._store = store
        self._streams = streams
        self._server = server
        self._running = running
        self._build = build
        self._gate = gate

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["config"])
        router.add_api_route(
            "/config",
            self.get,
            methods=["GET"],
            summary="Abilities, ports, version and the global configuration",
            **answers("ConfigBody", 503),
        )
        router.add_api_route(
            "/config",
            self.post,
            methods=["POST"],
            summary="Change the given fields of the global configuration",
            description="Null clears a field. Running streams follow at once; `restart_required` lists what "
            "does not, `notices` what is not served as it is written.",
            **answers("ConfigChangedBody", 400, 412, 413, 503),
            openapi_extra=takes_json("GlobalConfigPatch"),
        )
        router.add_api_route(
            "/config/defaults",
            self.defaults,
            methods=["GET"],
            summary="The values that unset fields take",
            **answers("DefaultsBody"),
        )
        self._add_yaml_routes(router)
        return router

    def _add_yaml_routes(self, router: APIRouter) -> None:
        router.add_api_route(
            "/config/yaml",
            self.get_yaml,
            methods=["GET"],
            summary="The whole configuration as one YAML document, secrets masked",
            **answers_text(YAML_TYPE, "object", 503),
        )
        router.add_api_route(
            "/config/yaml",
            self.put_yaml,
            methods=["PUT"],
            summary="Replace the whole configuration in one transaction",
            description="All is checked first, only what differs is changed, masks keep their secrets. "
            "A kind of record that the document does not name stays as it is.",
            **answers("ImportBody", 400, 413, 503),
            openapi_extra=takes_yaml(YAML_TYPE),
        )

    async def get(self) -> Response:
        """Abilities, ports, version, configuration; the entity tag is that of the configuration."""
        record = await self._store.global_config_record()
        config = GlobalConfig() if record is None else record.spec
        return json_response(
            {
                "hw_accels": list(defaults.HW_ACCELS),
                "video_codecs": list(defaults.VIDEO_CODECS),
                "audio_codecs": list(defaults.AUDIO_CODECS),
                "output_protocols": list(defaults.OUTPUT_PROTOCOLS),
                "stream_statuses": list(defaults.STREAM_STATUSES),
                "watermark_types": list(defaults.WATERMARK_TYPES),
                "watermark_positions": list(defaults.WATERMARK_POSITIONS),
                "ports": _ports(self._server.ports()),
                "global_config": _shown(config),
                **self._remarks(config),
                "version": {
                    "version": self._build.version,
                    "commit": self._build.commit,
                    "built_at": self._build.built_at,
                },
            },
            revision=None if record is None else record.revision,
        )

    async def post(
        self, request: Request, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
    ) -> Response:
        """Merge, then tell whoever depends on it."""
        patch = await json_object(request)
        revision = wanted_revision(if_match, if_none_match, exists=True)
        config = await self._store.merge_global_config(patch, if_match=revision)
        audit.record(principal_of(request.scope), "config.changed", "config", audit.field_names(patch))
        await self._follow(config)
        return json_response(
            {
                "global_config": _shown(config),
                "ports": _ports(self._server.ports()),
                **self._remarks(config),
            }
        )

    async def defaults(self) -> Response:
        """A constant of this version."""
        return json_response(defaults.defaults_document())

    async def get_yaml(self) -> Response:
        """Everything, as text."""
        text = await self._store.export_yaml()
        return Response(text, media_type=YAML_TYPE)

    async def put_yaml(self, request: Request) -> Response:
        """Everything, replaced."""
        result = await self._store.import_yaml(await text_body(request))
        changed = asdict(result)
        audit.record(principal_of(request.scope), "config.imported", "config", _import_names(result))
        config = await self._store.global_config()
        await self._follow(config)
        return json_response({"data": changed, **self._remarks(config)})

    def _remarks(self, config: GlobalConfig) -> dict[str, object]:
        """What was taken and is not, or not yet, as it is written."""
        return {
            "notices": raised_windows(config),
            "restart_required": self._running.waiting_for_restart(config),
        }

    async def _follow(self, config: GlobalConfig) -> None:
        self._gate.invalidate()
        self._running.follow(config)
        try:
            await self._streams.apply_all()
        except OpenstreamerError as err:  # what is stored is what is wanted; the reconciler tries again
            logger.warning("apply_failed", error=str(err))


def _import_names(result: ImportResult) -> list[str]:
    """Which kinds of records an import touched, for the audit log."""
    return [part.name for part in fields(result) if getattr(result, part.name)]


def _shown(config: GlobalConfig) -> dict[str, object]:
    return mask(config.document())


def _ports(ports: Ports) -> dict[str, object]:
    return {
        "http_addr": ports.http_addr,
        "rtsp_port": ports.rtsp_port,
        "rtmp_port": ports.rtmp_port,
        "srt_port": ports.srt_port,
    }
