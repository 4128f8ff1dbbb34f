"""text is UTF-8

Looked at are files to which a changeset adds a line that is not.  Those with a
NUL in their first 8,000 bytes are binary, and may be anything.

``encodings.except`` (globs, default none)
  files that may be anything.

``encodings.bom`` (yes or no, default no)
  whether text may begin with a byte order mark.

``encodings.crlf`` (yes or no, default yes)
  whether lines may end as on Windows.
"""

from __future__ import annotations

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)

ITEMS = {'except': '', 'bom': 'no', 'crlf': 'yes'}

_HEAD = 8000
_BOM = b'\xef\xbb\xbf'


def begin(options: Options, push: Push) -> Judge:
    """Refuse text of another encoding."""
    exempt = options.globs('except')
    bom, crlf = options.flag('bom'), options.flag('crlf')

    def file(change: Change, file: File) -> Failures:
        if file.gone or file.flags == 'l' or _is_fine(file.added, bom, crlf):
            return
        data = file.data
        if b'\0' in data[:_HEAD] or exempt.match(file.path):
            return
        for what, remedy in _faults(data, bom, crlf):
            yield Failure(what, remedy, change.node, file.path)

    return Judge(file=file)


def _is_fine(added: bytes, bom: bool, crlf: bool) -> bool:
    """Tell whether these lines leave a file fine that was so before."""
    if not crlf and b'\r\n' in added:
        return False
    if added.isascii():
        return True
    try:
        added.decode('utf-8')
    except UnicodeDecodeError:
        return False
    return bom or not added.startswith(_BOM)


def _faults(data: bytes, bom: bool, crlf: bool) -> list[tuple[str, str]]:
    found = []
    try:
        data.decode('utf-8')
    except UnicodeDecodeError as problem:
        line = data.count(b'\n', 0, problem.start) + 1
        what = f'line {line} is not UTF-8'
        found.append((what, 'convert the file to UTF-8'))
    if not bom and data.startswith(_BOM):
        what = 'it begins with a byte order mark'
        found.append((what, 'save the file without byte order mark'))
    if not crlf and b'\r\n' in data:
        line = data.count(b'\n', 0, data.index(b'\r\n')) + 1
        what = f'line {line} ends as on Windows'
        found.append((what, 'save the file with the line ends of Unix'))
    return found
