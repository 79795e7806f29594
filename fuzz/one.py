"""Fuzz one target in this process: ``python -m fuzz.one NAME CORPUS_DIR [libFuzzer options]``.

Started by ``run.py``. The modules under test are imported with coverage instrumentation.
"""

import sys

import atheris

with atheris.instrument_imports(include=["openstreamer"]):
    from fuzz.target import load_target

    TARGET = load_target(sys.argv[1])


def main() -> None:
    """Fuzz until an option says stop, or a finding does."""
    command = f"{sys.executable} -m fuzz.one {TARGET.name}"  # what libFuzzer starts again when it merges
    options = [command, f"-max_len={TARGET.max_input_bytes}", *sys.argv[2:]]
    atheris.Setup(options, TARGET.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
