"""Template inheritance."""

from typing import Any

import pytest

from openstreamer.config.base import parse
from openstreamer.config.models import Stream, StreamProfile, Template
from openstreamer.config.resolve import INHERITED_FIELDS, resolve, validate_resolved
from openstreamer.media.errors import ConfigError
from tests.config.test_models import COMPLETE_STREAM

_TEMPLATE_ONLY: dict[str, Any] = {
    key: value for key, value in COMPLETE_STREAM.items() if key not in ("disabled", "template")
}


def _stream(**fields: Any) -> Stream:
    return parse(Stream, {"code": "news", **fields})


def _template(**fields: Any) -> Template:
    return parse(Template, {"code": "hd", **fields})


@pytest.mark.parametrize("field", INHERITED_FIELDS)
@pytest.mark.parametrize("unset", ["absent", None, "", []])
def test_an_unset_field_is_inherited(field: str, unset: Any) -> None:
    said = {} if unset == "absent" else {field: unset}
    template = _template(**_TEMPLATE_ONLY | {"code": "hd"})
    resolved = resolve(_stream(template="hd", **said), template)
    assert getattr(resolved, field) == getattr(template, field)
    assert resolved.code == "news"


def test_a_set_field_replaces_the_whole_of_the_template_s() -> None:
    template = _template(
        protocols={"hls": True, "dash": True}, inputs=[{"url": "publish://"}], tags=["a", "b"]
    )
    resolved = resolve(_stream(protocols={"srt": True}, inputs=[{"url": "test://"}], tags=["c"]), template)
    assert resolved.document()["protocols"] == {"srt": True}
    assert [each.url for each in resolved.inputs] == ["test://"]
    assert resolved.tags == ("c",)


def test_an_empty_protocols_object_is_set_and_is_not_inherited() -> None:
    resolved = resolve(_stream(protocols={}), _template(protocols={"hls": True}))
    assert not resolved.delivered.hls


def test_code_disabled_and_template_are_the_stream_s_own() -> None:
    assert set(INHERITED_FIELDS) == set(StreamProfile.model_fields)
    assert not {"code", "disabled", "template", "prefixes"} & set(INHERITED_FIELDS)
    resolved = resolve(_stream(template="hd", disabled=True), _template(name="x"))
    assert (resolved.code, resolved.disabled, resolved.template) == ("news", True, "hd")


def test_without_its_template_a_stream_stands_alone() -> None:
    stream = _stream(template="gone", name="x")
    assert resolve(stream, None) is stream


def test_resolving_leaves_the_stored_stream_as_it_is() -> None:
    stream = _stream(template="hd")
    before = stream.document()
    resolve(stream, _template(name="x", inputs=[{"url": "publish://"}]))
    assert stream.document() == before


@pytest.mark.parametrize("url", ["copy://news", "mixer://news,other", "mixer://other,news"])
def test_a_stream_that_is_its_own_source_is_refused_even_through_a_template(url: str) -> None:
    resolved = resolve(_stream(template="hd"), _template(inputs=[{"url": url}]))
    with pytest.raises(ConfigError, match="its own source") as refused:
        validate_resolved(resolved)
    assert refused.value.field == "inputs[0].url"
    validate_resolved(resolve(parse(Stream, {"code": "b"}), _template(inputs=[{"url": url}])))
