"""Mercurial is complete before a test opens a repository in this process.

A repository that is opened first registers template keywords of its own, and
Mercurial then refuses to register its built-in ones of the same name.
"""

from __future__ import annotations

from hgext3rd.fleet import compat

compat.initialize()
