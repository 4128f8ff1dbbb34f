"""Small files that others read while they are replaced."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


def replace(path: str, data: bytes, sync: bool = False) -> None:
    """Make ``path`` contain ``data``; readers see the old or the new whole.

    With ``sync`` it also survives a power cut.  Missing folders are made.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f'.tmp-{os.urandom(8).hex()}')
    # Made with the mode that the umask leaves.  To learn the umask means to
    # set it, for the other threads too.
    handle = os.open(temporary, _NEW, 0o666)
    try:
        with open(handle, 'wb') as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    if sync:
        sync_folder(folder)


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: str) -> None:
    """Make ``path``, and what is missing above it, to survive a power cut."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    sync_folder(above)


def sync_system(path: str) -> None:
    """Have everything written that waits to be, on the file system there.

    Raises OSError when something could not be.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), 'syncfs', None)
        if call is None:
            os.sync()
        elif call(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(handle)


def read(path: str) -> bytes | None:
    """Return the content of ``path``, or None when there is no such file."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def remove(path: str) -> None:
    """Remove ``path``; harmless when there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE


def exchange(one: str, other: str) -> None:
    """Let two existing folders change places, at once where that is possible.

    Elsewhere there is a moment in which ``one`` is missing, and ``other`` is
    then beside it, with the suffix ``.swap``.
    """
    if _exchanged(one, other):
        return
    between = f'{other}.swap'
    os.rename(one, between)
    os.rename(other, one)
    os.rename(between, other)


def _exchanged(one: str, other: str) -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), 'renameat2', None)
    if call is None:
        return False
    paths = os.fsencode(one), os.fsencode(other)
    if not call(_HERE, paths[0], _HERE, paths[1], _EXCHANGE):
        return True
    problem = ctypes.get_errno()
    if problem in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(problem, os.strerror(problem), one, None, other)
