"""The first thing a child process of the server calls: take over the pipe, and die with the parent.

Imported by children only, at their very start, so it imports next to nothing.
"""

import ctypes
import os
import signal
import socket

PIPE_FD_VARIABLE = "OPENSTREAMER_PIPE_FD"
PARENT_PID_VARIABLE = "OPENSTREAMER_PARENT_PID"

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def open_pipe() -> socket.socket:
    """The blocking socket to the parent. Exits at once when the parent is gone already."""
    _die_with_parent(int(os.environ.pop(PARENT_PID_VARIABLE)))
    pipe = socket.socket(fileno=int(os.environ.pop(PIPE_FD_VARIABLE)))
    pipe.set_inheritable(False)
    return pipe


def _die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when the parent dies, however it dies.

    prctl(2): the signal comes when the *thread* that started us ends, so the parent starts children from its
    event loop thread. If the parent died before the call no signal will ever come: hence the second look.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    if os.getppid() != parent_pid:
        os._exit(0)
