"""The HTTP listener: HTTP/1.1, HTTP/2 and WebSocket on one port, ASGI applications on top.

``listener`` accepts and bounds connections; ``http1``, ``http2`` and ``websocket`` carry them; ``exchange``
is what an application sees of one request; ``media`` serves presentations; ``router`` parts admin from media.
"""
