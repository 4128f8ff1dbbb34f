"""authors are written in one form, and are known

``authors.form`` (a regular expression, default ``.* <[^<>@ ]+@[^<>@ ]+>``)
  what the whole of an author must match.

``authors.known`` (``no``, ``author`` or ``pusher``, default ``no``)
  with ``author``, the mail address, or what is before its ``@``, must be the
  name of an enabled user of the directory.  With ``pusher``, it must be that
  of the user who pushes: nobody pushes the work of somebody else.
"""

from __future__ import annotations

import functools
import re

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    Judge,
    Options,
    Push,
)

ITEMS = {'form': '.* <[^<>@ ]+@[^<>@ ]+>', 'known': 'no'}

_MAIL = re.compile(r'<([^<>]*)>')


def begin(options: Options, push: Push) -> Judge:
    """Refuse authors of another form, and strangers."""
    form = options.pattern('form')
    known = options.choice('known', 'no', 'author', 'pusher')

    @functools.cache
    def faults(author: str) -> tuple[tuple[str, str], ...]:
        found = []
        if form and not form.fullmatch(author):
            what = f'its author is {author!r}'
            wanted = f'write an author that matches {options.text("form")}'
            found.append((what, f'{wanted} (ui.username in your hgrc)'))
        names = _names(author)
        if known == 'pusher' and push.user not in names:
            what = f'its author is {author!r}, and {push.user} pushes it'
            found.append((what, 'push only changesets that you have made'))
        if known == 'author' and not any(map(push.world.is_user, names)):
            what = f'its author {author!r} is not a user of this server'
            found.append((what, 'use the address that the directory has'))
        return tuple(found)

    def change(change: Change) -> Failures:
        for what, remedy in faults(change.author):
            yield Failure(what, remedy, change.node)

    return Judge(change=change)


def _names(author: str) -> tuple[str, ...]:
    """Return by what names the directory may know an author."""
    match = _MAIL.search(author)
    mail = match[1] if match else author.strip()
    return (mail, mail.partition('@')[0])
