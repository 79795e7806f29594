"""Template inheritance: what a stream is, once its template is laid under it (CONTRACT 3)."""

from typing import Any

from openstreamer.config.input_urls import CopyInput, MixerInput
from openstreamer.config.models import Stream, StreamProfile, Template
from openstreamer.media.errors import ConfigError

# Everything streams and templates share is inherited; code, disabled and template belong to the stream.
INHERITED_FIELDS: tuple[str, ...] = tuple(StreamProfile.model_fields)


def resolve(stream: Stream, template: Template | None) -> Stream:
    """``stream`` with each unset field taken from ``template``; a set field replaces whole.

    A stream that names a template which does not exist (``template`` is None) stands alone.
    """
    if template is None:
        return stream
    inherited: dict[str, Any] = {
        field: getattr(template, field)
        for field in INHERITED_FIELDS
        if field not in stream.model_fields_set and field in template.model_fields_set
    }
    return stream.model_copy(update=inherited) if inherited else stream


def validate_resolved(stream: Stream) -> None:
    """Check what only the whole stream can show; raises :class:`ConfigError` with the field."""
    for index, each in enumerate(stream.inputs):
        match each.parsed_url:
            case CopyInput(code=code):
                upstreams = [code]
            case MixerInput(video_code=video, audio_code=audio):
                upstreams = [video, audio]
            case _:
                continue
        if stream.code in upstreams:
            field = f"inputs[{index}].url"
            raise ConfigError(f"{field}: a stream cannot be its own source", field=field)
