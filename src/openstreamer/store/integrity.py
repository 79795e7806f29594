"""Rules between records: templates exist, prefixes do not overlap, nothing in use is removed."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from openstreamer.config.codes import prefixes_overlap
from openstreamer.config.models import Stream, Template
from openstreamer.config.resolve import resolve, validate_resolved
from openstreamer.media.errors import ConfigError
from openstreamer.store.errors import Conflict
from openstreamer.store.tables import Tables

RequireUnused = Callable[[AsyncConnection, Tables, str], Awaitable[None]]


async def check_stream(connection: AsyncConnection, tables: Tables, stream: Stream) -> None:
    """A stream must be valid together with its template."""
    template = None
    if stream.template is not None:
        record = await tables.templates.get(connection, stream.template)
        if record is None:
            raise _no_such_template(stream)
        template = record.spec
    validate_resolved(resolve(stream, template))


async def check_template(connection: AsyncConnection, tables: Tables, template: Template) -> None:
    """A template must not take another's prefixes, and every stream that uses it must stay valid."""
    others = [record.spec for record in await tables.templates.all(connection)]
    require_separate_prefixes([*(each for each in others if each.code != template.code), template])
    streams = [record.spec for record in await tables.streams.all(connection)]
    check_dependents(streams, template)


def check_dependents(streams: Iterable[Stream], template: Template) -> None:
    """Every stream that uses ``template`` must be valid with it."""
    for stream in streams:
        if stream.template == template.code:
            try:
                validate_resolved(resolve(stream, template))
            except ConfigError as err:
                raise ConfigError(f"stream {stream.code!r} with it: {err}", field=err.field) from err


def require_separate_prefixes(templates: Iterable[Template]) -> None:
    """Raise Conflict PREFIX_OVERLAP when a publish path would match two templates."""
    taken: list[tuple[str, str]] = []
    for template in templates:
        for prefix in template.prefixes:
            for other, code in taken:
                if code != template.code and prefixes_overlap(prefix, other):
                    raise Conflict(
                        f"prefix {prefix!r} overlaps {other!r} of template {code!r}",
                        code="PREFIX_OVERLAP",
                        details={"conflicting_with": code, "overlaps": [prefix, other]},
                    )
            taken.append((prefix, template.code))


def check_with_template(stream: Stream, templates: Mapping[str, Template]) -> None:
    """A stream must be valid together with its template, which is one of ``templates``."""
    if stream.template is not None and stream.template not in templates:
        raise _no_such_template(stream)
    template = templates.get(stream.template) if stream.template is not None else None
    try:
        validate_resolved(resolve(stream, template))
    except ConfigError as err:
        raise ConfigError(f"stream {stream.code!r}: {err}", field=err.field) from err


async def require_unused_template(connection: AsyncConnection, tables: Tables, code: str) -> None:
    """Raise Conflict TEMPLATE_IN_USE when a stream names the template."""
    streams = [r.spec.code for r in await tables.streams.all(connection) if r.spec.template == code]
    if streams:
        raise Conflict(
            f"template {code!r} is used by {len(streams)} streams",
            code="TEMPLATE_IN_USE",
            details={"streams": streams},
        )


async def require_unused_policy(connection: AsyncConnection, tables: Tables, code: str) -> None:
    """Raise Conflict POLICY_IN_USE when a stream or template names the policy."""
    streams = [r.spec.code for r in await tables.streams.all(connection) if r.spec.playback_policy == code]
    templates = [
        r.spec.code for r in await tables.templates.all(connection) if r.spec.playback_policy == code
    ]
    if streams or templates:
        raise Conflict(
            f"policy {code!r} is used by {len(streams)} streams and {len(templates)} templates",
            code="POLICY_IN_USE",
            details={"streams": streams, "templates": templates},
        )


def _no_such_template(stream: Stream) -> ConfigError:
    message = f"template: stream {stream.code!r} names {stream.template!r}, which does not exist"
    return ConfigError(message, field="template", code="TEMPLATE_NOT_FOUND")
