"""Clips of every codec, container and oddity that are carried, made by FFmpeg and GStreamer at test time."""
