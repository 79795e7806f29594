"""LEFT: one module per input scheme, each an object with ``async def receive() -> list[Frame]``."""
