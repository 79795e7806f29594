"""Records of the store as the API shows them: what the operator said, secrets masked, and what runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from openstreamer.config.secrets import mask
from openstreamer.control.preconditions import etag
from openstreamer.store.breath import breathe
from openstreamer.store.records import StreamRecord, TemplateRecord
from openstreamer.stream.status import StreamRuntime, StreamStatus


def rfc3339(moment: datetime) -> str:
    """A time as the contract writes it, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_response(document: Mapping[str, Any], status: int = 200, revision: int | None = None) -> Response:
    """A JSON answer, with an entity tag when it shows one record."""
    return _encoded_response(_encode(document), status, revision)


def _encoded_response(text: str, status: int, revision: int | None) -> Response:
    headers = {} if revision is None else {"etag": etag(revision)}
    return Response(text.encode(), status, headers, "application/json")


def template_document(record: TemplateRecord) -> dict[str, Any]:
    """A template as the API shows it."""
    return {
        **mask(record.spec.document()),
        "revision": record.revision,
        "created_at": rfc3339(record.created_at),
        "updated_at": rfc3339(record.updated_at),
    }


class StreamDocuments:
    """Encodes streams. The stored part of a stream is encoded once per revision: a page that lists a thousand
    streams every two seconds must not cost the media their time.
    """

    def __init__(self) -> None:
        self._stored: dict[str, tuple[StreamRecord, str]] = {}

    def response(self, record: StreamRecord, runtime: StreamRuntime | None, status: int = 200) -> Response:
        """One stream in its envelope."""
        return _encoded_response(f'{{"data":{self.encode(record, runtime)}}}', status, record.revision)

    async def list_response(
        self, streams: Sequence[tuple[StreamRecord, StreamRuntime]], invalid: Mapping[str, str]
    ) -> Response:
        """Streams in theirs; ``invalid`` says of others why they cannot be shown."""
        encoded: list[str] = []
        for count, (record, runtime) in enumerate(streams, 1):
            await breathe(count)
            encoded.append(self.encode(record, runtime))
        unshown = [{"code": code, "reason": reason} for code, reason in sorted(invalid.items())]
        rest = f',"invalid":{json.dumps(unshown)}' if unshown else ""
        return _encoded_response(f'{{"data":[{",".join(encoded)}],"total":{len(encoded)}{rest}}}', 200, None)

    def encode(self, record: StreamRecord, runtime: StreamRuntime | None) -> str:
        """The JSON text of one stream."""
        shown = runtime if runtime is not None else not_running(record)
        return f'{self._stored_part(record)},"runtime":{shown.model_dump_json(by_alias=True)}}}'

    def keep_only(self, codes: Iterable[str]) -> None:
        """Forget the streams that are gone."""
        for code in self._stored.keys() - set(codes):
            del self._stored[code]

    def _stored_part(self, record: StreamRecord) -> str:
        known = self._stored.get(record.spec.code)
        # A stream that was deleted and made anew may have a revision of its predecessor, not its birth.
        if known is not None and _version(known[0]) == _version(record):
            return known[1]
        document = {
            **mask(record.spec.document()),
            "revision": record.revision,
            "created_at": rfc3339(record.created_at),
            "updated_at": rfc3339(record.updated_at),
            "source": "config",
        }
        text = _encode(document)[:-1]
        self._stored[record.spec.code] = (record, text)
        return text


def _encode(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def not_running(record: StreamRecord) -> StreamRuntime:
    """The runtime of a stream that nothing runs for (yet)."""
    reason = "the stream is disabled" if record.spec.disabled else "the stream has not been started yet"
    return StreamRuntime(status=StreamStatus.STOPPED, reasons=[reason])


def _version(record: StreamRecord) -> tuple[int, datetime, datetime]:
    return record.revision, record.created_at, record.updated_at
