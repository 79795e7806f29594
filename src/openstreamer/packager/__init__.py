"""Frames to CMAF parts and segments, once per rendition, for HLS, DASH and the archive."""
