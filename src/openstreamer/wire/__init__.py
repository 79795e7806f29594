"""Sans-IO codecs of protocols and containers: bytes in, events out; no await, no socket, no clock."""
