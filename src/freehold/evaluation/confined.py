"""Runs code that nobody trusts, in a process of its own that has given up everything else: `sandbox.py` starts it, as a script.

Standard library alone, and nothing of ours: it is run without site-packages. What is given up, in this order: further memory, time, files and
threads (rlimits), all capabilities, every file but Python's own and one folder (Landlock), and sockets, processes, signals and the like
(seccomp). A step that the kernel does not take ends it before any of the code has run.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
import sysconfig
from types import ModuleType
from typing import Any

DENIED = {
    "network": (41, 42, 43, 49, 50, 288),  # socket connect accept bind listen accept4; socketpair stays, for asyncio
    "processes": (57, 58, 59, 322, 109, 112),  # fork vfork execve execveat setpgid setsid
    "signals": (62, 200, 234, 129, 297, 424, 434, 438),  # kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open pidfd_getfd
    "other processes": (101, 310, 311, 312, 440, 141, 142, 144, 203, 251, 256, 279, 314),  # ptrace process_vm_* kcmp process_madvise priorities pages
    "limits": (160, 302),  # setrlimit prlimit64
    "mounts": (155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 433, 442),  # pivot_root chroot mount umount2 unshare setns open_tree … mount_setattr
    "attributes": (76, 90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280),  # truncate chmod chown utime xattr: not Landlock's
    "memory beside the limit": (29, 64, 68, 240, 319, 447),  # shmget semget msgget mq_open memfd_create memfd_secret
    "kernel": (
        103, 134, 135, 154, 159, 163, 164, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 227, 246, 248, 249, 250, 298, 300, 303, 304, 305, 313,
        320, 321, 323, 425, 426, 427,
    ),  # syslog uselib personality … keyctl perf_event_open fanotify_init *_handle_at kexec bpf userfaultfd io_uring
}  # fmt: skip
"""System calls of x86-64 that fail with EPERM, by what they would reach."""
_CLONE, _CLONE3, _UNKNOWN = 56, 435, 451
_X86_64, _X32 = 0xC000003E, 0x40000000
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38, 0x80000000
_THREAD = 0x00010000
_READ = 1 << 2 | 1 << 3
_FILES_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many kinds of access to files each version of Landlock knows."""

libc = ctypes.CDLL(None, use_errno=True)


class Unconfined(Exception):
    """The kernel did not take a step."""


def confine(folder: str, bounds: dict[str, int]) -> None:
    """Gives up everything. Raises Unconfined."""
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # whoever started it may be killed: this is to end then, too
    for name, most in bounds.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard),) * 2)
    if os.uname().machine != "x86_64":
        raise Unconfined(f"this machine is a {os.uname().machine}, and the filter of system calls is for x86-64")
    _called("dropping capabilities", libc.syscall(126, struct.pack("Ii", 0x20080522, 0), bytes(24)))
    _called("giving up new privileges", libc.prctl(38, 1, 0, 0, 0))
    _landlock(folder)
    _seccomp()


def _landlock(folder: str) -> None:
    """Leaves files: Python's own and the system's libraries to read, the folder to write. Documentation/userspace-api/landlock.rst."""
    version = libc.syscall(444, None, 0, 1)
    if version < 1:
        raise Unconfined("the kernel has no Landlock: it takes Linux 5.13 or newer, with landlock among its security modules")
    every = (1 << _FILES_BY_ABI.get(version, 16)) - 1
    wanted = struct.pack("QQQ", every, 3, 3)[
        : 8 if version < 4 else 16 if version < 6 else 24
    ]  # then TCP, then signals and abstract sockets
    rules = _called("Landlock", libc.syscall(444, wanted, len(wanted), 0))
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    readable = {*own, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"}
    for path, access in [*((path, _READ) for path in sorted(filter(None, readable))), (folder, every & ~(1 | 1 << 6 | 1 << 9 | 1 << 11))]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
            here = access if os.path.isdir(path) else access & 1 << 2  # noqa: PTH112 little is imported here
            _called("Landlock", libc.syscall(445, rules, 1, struct.pack("=Qi", here, at), 0))
            os.close(at)
    _called("Landlock", libc.syscall(446, rules, 0))
    os.close(rules)


def _seccomp() -> None:
    """Filters system calls: those that are denied, what is newer than this list, and clones that are no threads. seccomp(2)."""

    def jump(code: int, k: int, then: int, other: int) -> bytes:
        return struct.pack("HBBI", code, then, other, k)

    def gives(k: int) -> bytes:
        return struct.pack("HBBI", 0x06, 0, 0, k)

    def load(offset: int) -> bytes:
        return struct.pack("HBBI", 0x20, 0, 0, offset)

    equal, at_least, has_any = 0x15, 0x35, 0x45
    program = [load(4), jump(equal, _X86_64, 1, 0), gives(_KILL), load(0), jump(at_least, _X32, 0, 1), gives(_KILL)]
    program += [jump(at_least, _UNKNOWN, 0, 1), gives(_ENOSYS), jump(equal, _CLONE3, 0, 1), gives(_ENOSYS)]
    for number in sorted(number for numbers in DENIED.values() for number in numbers):
        program += [jump(equal, number, 0, 1), gives(_EPERM)]
    program += [jump(equal, _CLONE, 1, 0), gives(_ALLOW), load(16), jump(has_any, _THREAD, 1, 0), gives(_EPERM), gives(_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(program))
    whole = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    _called("seccomp", libc.syscall(317, 1, 0, whole))


def _called(what: str, given: int) -> int:
    if given < 0:
        raise Unconfined(f"{what} failed: {os.strerror(ctypes.get_errno())}")
    return given


def run(code: str, checks: list[str]) -> tuple[list[bool], str]:
    """Whether each check passed after the code had run in a module of its own, and why the first did not."""
    module = ModuleType("answer")
    sys.modules["answer"] = module
    passed: list[bool] = []
    first = _failure("the code", code, module)
    for check in checks if not first else ():
        why = _failure(check, check, module)
        passed.append(not why)
        first = first or why
    return passed + [False] * (len(checks) - len(passed)), first


def _failure(what: str, code: str, module: ModuleType) -> str:
    """Why code failed; empty where it did not."""
    try:
        exec(compile(code, "answer.py", "exec"), module.__dict__)  # noqa: S102 it is what this is for
    except BaseException as error:  # noqa: BLE001 SystemExit too: an answer is not to end its tests
        return f"{what.strip()[:200]}: {type(error).__name__}{_words(error)}"
    return ""


def _words(error: BaseException) -> str:
    try:
        return f": {error}"[:300]
    except BaseException:  # noqa: BLE001 words are the code's own
        return ""


def main() -> None:
    """Reads what to do, gives up everything, does it, and tells of it where nothing else is told."""
    told = int(sys.argv[1])
    plan: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    said: dict[str, Any] = {"token": plan["token"]}
    try:
        confine(os.getcwd(), plan["bounds"])  # noqa: PTH109
    except (Unconfined, OSError, ValueError) as error:
        said["unconfined"] = str(error)
    else:
        said["passed"], said["why"] = run(plan["code"], plan["checks"])
    with contextlib.suppress(BaseException):  # the code may have put anything in their place
        sys.stdout.flush()
    os.write(told, json.dumps(said).encode()[:60_000])
    os._exit(0)  # threads that the code left behind are not waited for


if __name__ == "__main__":
    main()
