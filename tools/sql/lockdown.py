"""Taking a process's powers away, for good: Landlock, seccomp, capabilities and resource limits of the Linux kernel.

Sources: `Documentation/userspace-api/landlock.rst`, `Documentation/userspace-api/seccomp_filter.rst` and `capset(2)`; the numbers of system
calls are those of `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` (aarch64).
"""

from __future__ import annotations

import os
import platform
import struct
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

COMPUTING = {
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, -1),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "read": (0, 63),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "sigaltstack": (131, 132),
    "time": (201, -1),
    "times": (100, 153),
    "write": (1, 64),
    "writev": (20, 66),
}
"""What computing takes: memory, the clock, and what is open already. No files, processes, threads, signals, sockets, or settings.

The name of a system call → its number on x86_64 and on aarch64; -1 where there is none.
"""

FORKING = COMPUTING | {
    "clone": (56, 220),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "dup2": (33, -1),
    "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "eventfd2": (290, 19),
    "fcntl": (72, 25),
    "fork": (57, -1),
    "getppid": (110, 173),
    "kill": (62, 129),
    "pidfd_open": (434, 434),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "seccomp": (317, 277),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "wait4": (61, 260),
}
"""What it takes to start processes that compute, limit them, and end them."""

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine → column of the tables above, and its name for the kernel (`AUDIT_ARCH_…`)."""
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000


def missing() -> list[str]:
    """What this system lacks to take a process's powers away; empty when nothing is."""
    if sys.platform != "linux":
        return [f"Linux (this is {sys.platform})"]
    if platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return [f"a 64-bit x86_64 or aarch64 processor (this is {platform.machine()})"]
    lacking = []
    if _landlock_version() < 1:
        lacking.append("Landlock (Linux 5.13 or newer, switched on, and not forbidden by the container)")
    action = struct.pack("=I", _ERRNO)
    if _call(_number("seccomp"), 2, 0, action) != 0:  # SECCOMP_GET_ACTION_AVAIL
        lacking.append("seccomp filters (not forbidden by the container)")
    return lacking


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends.

    :param parent: The process id of the parent; when it is gone already, this process ends here.
    """
    _prctl(_PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def give_up_everything(allowed: Mapping[str, tuple[int, int]]) -> None:
    """Keep no more than the system calls named, in every thread of this process and every process it starts; there is no way back.

    :param allowed: `COMPUTING` or `FORKING`.
    :raises OSError: the kernel did not do it.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)  # nobody may look into its memory
    _drop_capabilities()
    _lock_files()
    _see_it_fail(13)
    allow_only(allowed)
    _see_it_fail(1)


def allow_only(allowed: Mapping[str, tuple[int, int]]) -> None:
    """Let every thread of this process make these system calls; others fail with EPERM. Such filters add up.

    :raises OSError: the kernel did not do it.
    """
    import ctypes

    column, architecture = _MACHINES[platform.machine()]
    numbers = sorted({numbers[column] for numbers in allowed.values()} - {-1})
    load, equal, answer = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    # seccomp_data: number at 0, architecture at 4. Another architecture's calls have other numbers: they end the process.
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, _KILL), (load, 0, 0, 0)]
    for number in numbers:
        program += [(equal, 0, 1, number), (answer, 0, 0, _ALLOW)]
    program.append((answer, 0, 0, _ERRNO | 1))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filters = struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(code))
    thread = _demand(_number("seccomp"), 1, 1, filters)  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
    if thread:
        raise OSError(f"Thread {thread} keeps another filter.")


def limit(**limits: int) -> None:
    """Set resource limits, hard and soft, never above what is set already.

    :param limits: `AS=2**30`: names of `resource` without `RLIMIT_`; bytes, seconds or counts.
    """
    import resource

    for name, wanted in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        _, most = resource.getrlimit(kind)
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (value, value))


def _drop_capabilities() -> None:
    header = struct.pack("=II", 0x20080522, 0)  # version 3, this process
    _demand({"x86_64": 126, "aarch64": 91}[platform.machine()], header, bytes(24))


def _lock_files() -> None:
    """No file or folder can be opened, made or removed; from newer kernels on also no TCP, and no signals to others."""
    version = _landlock_version()
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = struct.pack("=Q", files)
    if version >= 4:
        attributes += struct.pack("=Q", 3)
    if version >= 6:
        attributes += struct.pack("=Q", 3)
    rules = _demand(_LANDLOCK_CREATE, attributes, len(attributes), 0)
    try:
        _demand(_LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _see_it_fail(code: int) -> None:
    """Open a folder in vain: some systems take the orders above and do nothing.

    :param code: 13 (EACCES) is Landlock's, 1 (EPERM) the filter's.
    :raises OSError: it was opened, or failed in another way.
    """
    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        if error.errno == code:
            return
    raise OSError("This system lets a confined process open files.")


def _landlock_version() -> int:
    return _call(_LANDLOCK_CREATE, None, 0, 1)  # LANDLOCK_CREATE_RULESET_VERSION


def _number(name: str) -> int:
    return FORKING[name][_MACHINES[platform.machine()][0]]


def _prctl(option: int, value: int) -> None:
    _demand(_number("prctl"), option, value, 0, 0, 0)


@cache
def _libc() -> Any:
    import ctypes  # eight milliseconds

    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """A system call's answer; -1 when it failed."""
    import ctypes

    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    answer: int = _libc().syscall(ctypes.c_long(number), *words)
    return answer


def _demand(number: int, *arguments: int | bytes | None) -> int:
    import ctypes

    answer = _call(number, *arguments)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"system call {number}: {os.strerror(code)}")
    return answer
