"""From the URL of an input to its source."""

from openstreamer.config.input_urls import TestInput, scheme_of
from openstreamer.config.models import Input
from openstreamer.media.errors import SourceRejected
from openstreamer.sources.base import Source
from openstreamer.sources.testcard import TestcardSource


def open_source(chosen: Input) -> Source:
    """The source of a pull input, not yet connected.

    Raises :class:`SourceRejected` for a scheme that has none.
    """
    match chosen.parsed_url:
        case TestInput() as settings:
            return TestcardSource(settings)
        case _:
            raise SourceRejected(f"{scheme_of(chosen.url)}:// inputs are not supported by this version")
