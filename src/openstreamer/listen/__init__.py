"""Ports: accept, bound, handshake, read the intent; publish becomes a source, play a sink."""
