"""What must restart when a resolved stream changes. Pure; the supervisor carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from openstreamer.config.models import Input, Stream


class Restart(IntEnum):
    """The smallest thing that must restart; a larger value includes the smaller ones."""

    NOTHING = 0
    OUTPUT = 1
    INPUT = 2
    STREAM = 3


# Every field of a stream stands here; the test fails when one is missing.
_RESTART_BY_FIELD: dict[str, Restart] = {
    "name": Restart.NOTHING,
    "description": Restart.NOTHING,
    "tags": Restart.NOTHING,
    "template": Restart.NOTHING,  # the difference is taken between resolved streams
    "stream_key": Restart.NOTHING,  # asked for at the next publish; who is connected was let in
    "playback_policy": Restart.NOTHING,  # asked at every request
    "failover": Restart.NOTHING,
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


@dataclass(frozen=True, slots=True)
class InputChanges:
    """Which inputs differ, by identity (everything but the priority), so that reordering restarts nothing."""

    added: tuple[Input, ...] = ()
    removed: tuple[Input, ...] = ()
    reordered: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Each changed field with what it restarts."""

    fields: Mapping[str, Restart] = field(default_factory=dict)
    inputs: InputChanges = InputChanges()

    @property
    def restart(self) -> Restart:
        """The largest restart among the fields."""
        return max(self.fields.values(), default=Restart.NOTHING)

    def __bool__(self) -> bool:
        return bool(self.fields)


def difference(old: Stream, new: Stream) -> Change:
    """What changed between two resolved streams; equal streams give an empty, false change."""
    changed = {
        name: restart
        for name, restart in _RESTART_BY_FIELD.items()
        if getattr(old, name) != getattr(new, name)
    }
    inputs = _input_changes(old, new) if "inputs" in changed else InputChanges()
    if "inputs" in changed and not inputs.added and not inputs.removed:
        changed["inputs"] = Restart.NOTHING
    return Change(changed, inputs)


def _input_changes(old: Stream, new: Stream) -> InputChanges:
    before, after = list(old.inputs_by_priority), list(new.inputs_by_priority)
    removed = tuple(each for each in before if not _contains(after, each))
    added = tuple(each for each in after if not _contains(before, each))
    kept_before = [_identity(each) for each in before if each not in removed]
    kept_after = [_identity(each) for each in after if each not in added]
    return InputChanges(added, removed, reordered=kept_before != kept_after)


def _contains(inputs: list[Input], wanted: Input) -> bool:
    return any(_identity(each) == _identity(wanted) for each in inputs)


def _identity(each: Input) -> Input:
    return each.model_copy(update={"priority": 0})
