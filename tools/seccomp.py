"""What the kernel refuses a program in the sandbox: a filter of system calls, made by libseccomp.

The namespaces around it already leave nothing to reach. The filter holds what they do not: no process is
started (a limit on processes binds no root), no memory is taken that the limit on address space does not see,
no socket but a local one is opened (VSOCK would lead to the machine's host), and calls by which kernels have
been attacked are not to be had. What a script needs (files, threads, mathematics) stays as it is.

Not covered: calls newer than this list; the namespaces and limits themselves (`sandbox.py`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from functools import cache

ALLOW = 0x7FFF0000  # SCMP_ACT_ALLOW
ERRNO = 0x00050000  # SCMP_ACT_ERRNO: the call returns this error
NOT_EQUAL, MASKED_EQUAL = 1, 7  # SCMP_CMP_NE, SCMP_CMP_MASKED_EQ
CLONE_THREAD = 0x00010000

REFUSED = [
    *("fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd"),
    *("kcmp", "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree"),
    *("move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at"),
    *("name_to_handle_at", "fanotify_init", "quotactl", "swapon", "swapoff", "acct", "keyctl", "add_key"),
    *("request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "memfd_create", "memfd_secret", "shmget", "msgget", "semget", "mq_open"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "syslog"),
    *("iopl", "ioperm", "modify_ldt", "personality", "settimeofday", "clock_settime", "adjtimex"),
    *("clock_adjtime", "sethostname", "setdomainname"),
]


class _Argument(ctypes.Structure):
    """libseccomp's `struct scmp_arg_cmp`: a condition on one argument of a call."""

    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


@cache
def program() -> bytes:
    """The filter as the kernel takes it (classic BPF). Raises OSError without libseccomp."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Argument),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    made = library.seccomp_init(ALLOW)

    def refuse(call: str, error: int, *when: _Argument) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        conditions = (_Argument * len(when))(*when)
        # A call that this machine has not is passed over by the library.
        if number != -1 and library.seccomp_rule_add_array(
            made, ERRNO | error, number, len(when), conditions
        ):
            raise OSError(f"libseccomp can't refuse {call}")

    for call in REFUSED:
        refuse(call, errno.EPERM)
    refuse("clone", errno.EPERM, _Argument(0, MASKED_EQUAL, CLONE_THREAD, 0))  # a process, not a thread
    refuse("clone3", errno.ENOSYS)  # its flags can't be looked at; libc then takes clone
    for call in ("socket", "socketpair"):
        refuse(call, errno.EACCES, _Argument(0, NOT_EQUAL, socket.AF_UNIX, 0))
    descriptor = os.memfd_create("seccomp")
    try:
        if library.seccomp_export_bpf(made, descriptor):
            raise OSError("libseccomp can't write its filter")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)
        library.seccomp_release(made)
