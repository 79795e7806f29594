"""What the server costs: ``make bench``, or ``python -m bench --help``."""
