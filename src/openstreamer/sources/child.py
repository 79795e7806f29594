"""Child processes that exchange tracks, frames and messages with the server over a socket pair.

libav parses what comes from the network, and encoders crash: both live in a child, and a crash costs one
child. What a :class:`ChildProcess` guarantees, whatever the child does:

- it runs ``python -m module`` without a shell, in its own process group, with a minimal environment, no
  standard input, and no other descriptor than its end of the pipe; it is killed by the kernel when the server
  dies;
- leaving the context manager leaves no process, no task and no descriptor; within 200 ms when it is
  cancelled;
- what it says is buffered up to a bound, then it is blocked; what it prints is kept to the last lines.

Starting needs no await and reaping needs no task: the event loop watches a pidfd (pidfd_open(2)), so that a
cancelled caller leaves neither half a child nor a zombie behind. A child must be started in the thread of the
event loop, and that thread must live as long as the child (see ``child_entry``).
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import openstreamer
from openstreamer.media.errors import OpenstreamerError
from openstreamer.sources.child_entry import PARENT_PID_VARIABLE, PIPE_FD_VARIABLE
from openstreamer.sources.child_pipe import ChildPipe
from openstreamer.wire.pipe import MAX_RECORD_BYTES, PipeEncoder, PipeEvent

START_DEADLINE_S = 30.0  # until the first word: 0.2 s when idle, but a machine may start a hundred at once
LAST_WORDS_LINES = 20
LAST_WORDS_LINE_CHARS = 500
EXIT_WAIT_S = 1.0  # a child that closed its pipe is about to exit; its status says why
KILL_WAIT_S = 0.15  # when cancelled: SIGKILL takes effect in milliseconds; the contract allows 200 ms in all
DEATH_WAIT_S = 5.0  # in peace: on a busy machine the kernel takes its time; beyond it the loop will reap
PASSED_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

_OUTPUT_READ_BYTES = 4096
_LAST_DRAIN_READS = 64  # what a pipe of the kernel holds by default is 64 kB; no more is read at the end


class ChildDied(OpenstreamerError):  # noqa: N818 - reads so
    """The child is gone or talks nonsense; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child may use, and what is kept of it.

    ``pending_bytes``: records of the child that nobody took yet; beyond it the child blocks on its pipe.
    ``grace_s``: how long it may go on after SIGTERM when it is closed in peace; 0 kills at once.
    """

    pending_bytes: int = 1024 * 1024
    max_record_bytes: int = MAX_RECORD_BYTES
    grace_s: float = 0.0
    nice: int = 0
    address_space_bytes: int | None = None


class ChildProcess:
    """One child, from ``async with`` to its end.

    ``encoder`` queues what is for the child and ``flush`` writes it. ``receive`` returns what the child said.
    ``environment`` is added to the few variables that are passed on (``PASSED_ENVIRONMENT``).
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        name: str,
        limits: ChildLimits | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = environment or {}
        self._command = (sys.executable, "-P", "-m", module, *arguments)
        self._name = name
        self._limits = limits or ChildLimits()
        self._pipe = ChildPipe(
            pending_bytes=self._limits.pending_bytes, max_record_bytes=self._limits.max_record_bytes
        )
        self._output = _LastWords(LAST_WORDS_LINES, LAST_WORDS_LINE_CHARS)
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = asyncio.Event()
        self._pidfd = -1
        self._output_fd = -1
        self.encoder = PipeEncoder(max_record_bytes=self._limits.max_record_bytes)

    def __repr__(self) -> str:
        pid = self._process.pid if self._process else None
        return f"<ChildProcess {self._name} pid={pid} returncode={self.returncode}>"

    @property
    def pid(self) -> int:
        """The process id; raises when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self._name} was not started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode if self._process else None

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines it printed, oldest first."""
        return self._output.lines

    @property
    def pending_bytes(self) -> int:
        """What the child said and nobody took yet."""
        return self._pipe.pending_bytes

    @property
    def blocked(self) -> bool:
        """Whether reading from the child is paused because nobody takes what it says."""
        return self._pipe.paused

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._start(theirs)
            except BaseException:
                ours.close()
                raise
        self._pipe.open(ours)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        in_haste = exc_type is not None and issubclass(exc_type, asyncio.CancelledError)
        await self._end(
            grace_s=self._limits.grace_s if exc_type is None else 0.0,
            death_s=KILL_WAIT_S if in_haste else DEATH_WAIT_S,
        )

    async def receive(self) -> list[PipeEvent]:
        """What the child said since the last call, at least one event; waits for it.

        Raises :class:`ChildDied` when there will be no more. One task at a time may wait here.
        """
        while not (events := self._pipe.take()):
            if self._pipe.failure is not None:
                self.kill()
                raise ChildDied(f"{self._name}: {self._pipe.failure}") from self._pipe.failure
            if not self._pipe.is_open:
                raise ChildDied(await self._obituary())
            await self._pipe.wait()
        return events

    async def flush(self) -> None:
        """Write what ``encoder`` queued; waits while the child does not take it.

        A child that is gone is not reported here but by ``receive``.
        """
        self._pipe.write(self.encoder.data_to_send())
        await self._pipe.drained()

    def kill(self) -> None:
        """Kill the child and whatever it started; ``async with`` still waits for its end."""
        self._signal(signal.SIGKILL)

    def _start(self, pipe: socket.socket) -> None:
        """Start the process: blocks for the few milliseconds of vfork and exec, so it cannot be cancelled."""
        output_read, output_write = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, and every word of it is ours
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(pipe.fileno(),),
                env={**_environment(pipe.fileno()), **self._environment},
                cwd="/",
                process_group=0,
            )
        except OSError as err:
            os.close(output_read)
            raise ChildDied(f"{self._name}: cannot be started: {err}") from err
        finally:
            os.close(output_write)
        self._output_fd = output_read
        try:
            self._watch(self._process.pid)
        except BaseException:
            self.kill()
            self._process.wait()
            self._close_output()
            raise

    def _watch(self, pid: int) -> None:
        loop = asyncio.get_running_loop()
        os.set_blocking(self._output_fd, False)
        loop.add_reader(self._output_fd, self._read_output)
        self._apply_limits(pid)
        self._pidfd = os.pidfd_open(pid)
        loop.add_reader(self._pidfd, self._reap)

    def _apply_limits(self, pid: int) -> None:
        """Limits are set from outside: code between fork and exec is not safe in a process with threads."""
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
            if (limit_bytes := self._limits.address_space_bytes) is not None:
                resource.prlimit(pid, resource.RLIMIT_AS, (limit_bytes, limit_bytes))
            if self._limits.nice:
                os.setpriority(os.PRIO_PROCESS, pid, self._limits.nice)

    async def _end(self, *, grace_s: float, death_s: float) -> None:
        """The end of everything: pipe closed, process gone, descriptors closed."""
        self._pipe.close()
        try:
            if grace_s > 0:
                self._signal(signal.SIGTERM)
                await self._wait_for_exit(grace_s)
            self.kill()
            await self._wait_for_exit(death_s)
        finally:
            self.kill()
            self._close_output()

    async def _obituary(self) -> str:
        if not await self._wait_for_exit(EXIT_WAIT_S):
            self.kill()
            await self._wait_for_exit(KILL_WAIT_S)
        self._read_rest_of_output()
        words = "; ".join(self.last_words[-3:]) or "it said nothing"
        return f"{self._name} {_describe_exit(self.returncode)}: {words}"

    async def _wait_for_exit(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._exited.wait()
        return self._exited.is_set()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the process group. Until the leader is reaped its id cannot belong to anybody else."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _reap(self) -> None:
        """The pidfd became readable: the child is dead. Take its group along, and its status."""
        process = self._process
        assert process is not None
        self.kill()
        if process.poll() is None:
            return
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._exited.set()

    def _read_output(self) -> bool:
        """One read of what it printed, so that a child that prints without end cannot hold the loop."""
        try:
            data = os.read(self._output_fd, _OUTPUT_READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._output.feed(data)
        else:
            self._close_output()
        return bool(data)

    def _read_rest_of_output(self) -> None:
        for _ in range(_LAST_DRAIN_READS):
            if self._output_fd < 0 or not self._read_output():
                return

    def _close_output(self) -> None:
        if self._output_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._output_fd)
            os.close(self._output_fd)
            self._output_fd = -1


class _LastWords:
    """The last lines of a text, each cut to a length; whatever is fed, it stays small."""

    def __init__(self, max_lines: int, max_line_chars: int) -> None:
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._partial = b""
        self._max_chars = max_line_chars
        self._max_bytes = max_line_chars * 4  # UTF-8 takes at most four bytes per character

    @property
    def lines(self) -> tuple[str, ...]:
        partial = self._clean(self._partial)
        return (*self._lines, partial)[-(self._lines.maxlen or 0) :] if partial else tuple(self._lines)

    def feed(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            if line := self._clean(self._partial + piece):
                self._lines.append(line)
            self._partial = b""
        self._partial = (self._partial + rest)[: self._max_bytes]

    def _clean(self, line: bytes) -> str:
        text = line[: self._max_bytes].decode("utf-8", "replace")[: self._max_chars]
        return "".join(char if char.isprintable() else " " for char in text).strip()


def _environment(pipe_fd: int) -> dict[str, str]:
    """No variable of the server reaches a child by accident: they hold passwords."""
    passed = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
    return passed | {
        "PYTHONPATH": str(Path(openstreamer.__file__).parent.parent),
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        PIPE_FD_VARIABLE: str(pipe_fd),
        PARENT_PID_VARIABLE: str(os.getpid()),
    }


def _describe_exit(returncode: int | None) -> str:
    if returncode is None:
        return "does not end"
    if returncode >= 0:
        return f"exited with status {returncode}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"was killed by signal {-returncode}"
