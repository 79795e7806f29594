"""What restarts when a stream changes."""

from typing import Any

import pytest

from openstreamer.config.base import parse
from openstreamer.config.difference import Restart, difference
from openstreamer.config.models import Stream
from tests.config.test_models import COMPLETE_STREAM

_ROWS: dict[str, Restart] = {
    "name": Restart.NOTHING,
    "description": Restart.NOTHING,
    "tags": Restart.NOTHING,
    "stream_key": Restart.NOTHING,
    "playback_policy": Restart.NOTHING,
    "failover": Restart.NOTHING,
    "template": Restart.NOTHING,
    "inputs": Restart.INPUT,
    "protocols": Restart.OUTPUT,
    "push": Restart.OUTPUT,
    "dvr": Restart.OUTPUT,
    "thumbnail": Restart.OUTPUT,
    "watermark": Restart.OUTPUT,
    "transcoder": Restart.STREAM,
    "disabled": Restart.STREAM,
    "code": Restart.STREAM,
}
_A = {"url": "rtmp://a/x/y"}
_B = {"url": "rtmp://b/x/y"}
_C = {"url": "rtmp://c/x/y"}


def _stream(**fields: Any) -> Stream:
    return parse(Stream, {"code": "news", **fields})


def test_every_field_of_a_stream_has_a_row() -> None:
    assert set(_ROWS) == set(Stream.model_fields)


@pytest.mark.parametrize("field", sorted(_ROWS))
def test_a_changed_field_restarts_what_its_row_says(field: str) -> None:
    change = difference(_stream(), _stream(**{field: COMPLETE_STREAM[field]}))
    assert dict(change.fields) == {field: _ROWS[field]}
    assert change.restart == _ROWS[field]
    assert change


def test_equal_streams_differ_in_nothing() -> None:
    change = difference(parse(Stream, COMPLETE_STREAM), parse(Stream, COMPLETE_STREAM))
    assert not change
    assert change.restart is Restart.NOTHING


def test_the_largest_restart_counts() -> None:
    change = difference(_stream(), _stream(name="x", protocols={}, inputs=[_A]))
    assert change.restart is Restart.INPUT


def test_added_and_removed_inputs_are_named() -> None:
    change = difference(_stream(inputs=[_A, _B]), _stream(inputs=[_A, _C]))
    assert [each.url for each in change.inputs.added] == ["rtmp://c/x/y"]
    assert [each.url for each in change.inputs.removed] == ["rtmp://b/x/y"]
    assert not change.inputs.reordered


def test_reordering_inputs_restarts_none_of_them() -> None:
    change = difference(_stream(inputs=[_A, _B]), _stream(inputs=[_B, _A]))
    assert change.inputs.reordered
    assert not change.inputs.added
    assert not change.inputs.removed
    assert change.restart is Restart.NOTHING
    assert change


def test_removing_the_first_input_is_no_reordering_of_the_rest() -> None:
    change = difference(_stream(inputs=[_A, _B, _C]), _stream(inputs=[_B, _C]))
    assert [each.url for each in change.inputs.removed] == ["rtmp://a/x/y"]
    assert not change.inputs.reordered


def test_an_input_whose_headers_changed_is_another_input() -> None:
    change = difference(_stream(inputs=[_A]), _stream(inputs=[{**_A, "headers": {"X": "1"}}]))
    assert len(change.inputs.added) == len(change.inputs.removed) == 1
