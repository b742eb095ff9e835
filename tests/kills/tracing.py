"""Kills a process just before its n-th write, found by tracing its system calls (Linux)."""

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from typing import Final

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E  # ptrace(2)
_TRACESYSGOOD, _EXITKILL = 0x1, 0x100000
_ENTRY: Final = 1
# System calls that change files, by processor: from the kernel's unistd.h.
_CHANGING: Final = {
    "x86_64": {
        "write": 1,
        "pwrite64": 18,
        "writev": 20,
        "sendfile": 40,
        "fsync": 74,
        "fdatasync": 75,
        "truncate": 76,
        "ftruncate": 77,
        "rename": 82,
        "mkdir": 83,
        "rmdir": 84,
        "link": 86,
        "unlink": 87,
        "chmod": 90,
        "fchmod": 91,
        "mkdirat": 258,
        "unlinkat": 263,
        "renameat": 264,
        "fchmodat": 268,
        "fallocate": 285,
        "renameat2": 316,
        "copy_file_range": 326,
    },
    "aarch64": {
        "mkdirat": 34,
        "unlinkat": 35,
        "renameat": 38,
        "truncate": 45,
        "ftruncate": 46,
        "fallocate": 47,
        "fchmod": 52,
        "fchmodat": 53,
        "write": 64,
        "writev": 66,
        "pwrite64": 68,
        "sendfile": 71,
        "fsync": 82,
        "fdatasync": 83,
        "renameat2": 276,
        "copy_file_range": 285,
    },
}
# open and openat create or empty a file: number and position of the flags.
_OPENING: Final = {"x86_64": {2: 1, 257: 2}, "aarch64": {56: 2}}


class _SyscallInfo(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
        ("rest", ctypes.c_uint64 * 2),
    )


def can_trace() -> bool:
    """Tell whether this system lets a process trace its child."""
    if platform.system() != "Linux" or platform.machine() not in _CHANGING:
        return False
    try:
        return run_killed(lambda: os.write(1, b""), 10**9) is False
    except OSError:
        return False


def run_killed(work: Callable[[], object], n: int) -> bool:
    """Run `work` in a child process; SIGKILL it before its n-th write, counted from 1.

    Returns
    -------
    bool
        Whether it was killed; False if it had ended before.

    Raises
    ------
    OSError
        If tracing is not allowed here, or the work failed.
    """
    child = os.fork()
    if child == 0:
        _be_traced(work)
    libc = _libc()
    os.waitpid(child, 0)
    _ptrace(libc, _SETOPTIONS, child, 0, _TRACESYSGOOD | _EXITKILL)
    info, count, passed_on = _SyscallInfo(), 0, 0
    while True:
        _ptrace(libc, _SYSCALL, child, 0, passed_on)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if status:
                raise OSError(f"The traced work failed with status {status}.")
            return False
        stop = os.WSTOPSIG(status)
        passed_on = 0
        if stop != signal.SIGTRAP | 0x80:
            passed_on = stop
            continue
        _ptrace(libc, _GET_SYSCALL_INFO, child, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == _ENTRY and _changes_files(info):
            count += 1
            if count == n:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return True


def _be_traced(work: Callable[[], object]) -> None:
    code = 1
    try:
        _ptrace(_libc(), _TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    finally:
        os._exit(code)


def _changes_files(info: _SyscallInfo) -> bool:
    machine = platform.machine()
    opening = _OPENING[machine].get(info.number)
    if opening is not None:
        return bool(info.arguments[opening] & (os.O_CREAT | os.O_TRUNC))
    return info.number in _CHANGING[machine].values()


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc


def _ptrace(libc: ctypes.CDLL, request: int, process: int, address: int, data: int) -> None:
    if libc.ptrace(request, process, address, data) == -1:
        raise OSError(ctypes.get_errno(), "ptrace failed")
