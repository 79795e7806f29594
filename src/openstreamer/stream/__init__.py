"""One stream: its supervisor, wiring and status; and the reconciler over all of them."""
