"""The one media model of the server: tracks, frames, codecs, clocks and the exception tree."""
