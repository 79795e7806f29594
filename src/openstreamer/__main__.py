"""``python -m openstreamer``: the same as the ``openstreamer`` command."""

from openstreamer.cli import main

if __name__ == "__main__":
    main()
