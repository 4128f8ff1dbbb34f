"""Map the folders of this tree to the names that they are installed under.

``tests/names`` holds one symlink per installed name (``hgext3rd`` is
``hgext``, ``fleethooks`` is ``hooks`` and so on). Wheels are built through
these links, and an editable install puts that folder on the path as it is, so
development and installation import the same names from the same files.
``hgext`` must never get an ``__init__.py``: Mercurial owns ``hgext3rd``.
"""

from __future__ import annotations

from setuptools import find_packages, setup

EXTENSIONS = [f'hgext3rd.{name}' for name in find_packages('hgext')]

setup(
    packages=[*EXTENSIONS, 'fleethooks', 'fleetpash', 'fleetrc'],
    package_dir={'': 'tests/names'},
    package_data={'': ['*.rc', '*.tmpl', '*.css', 'py.typed']},
)
