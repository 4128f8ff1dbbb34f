"""A build backend that only tells an sdist's name and version.

`sdists.py` puts it before pip as `setuptools.build_meta`. pip runs it in the
unpacked sdist, alone: it must import nothing of this package.
"""

from __future__ import annotations

import email
import os
import sys
from pathlib import Path

# How pip names the backend of an sdist without a pyproject.toml.
__legacy__ = sys.modules[__name__]


def prepare_metadata_for_build_wheel(
    folder: str, config_settings: object = None
) -> str:
    """Write the metadata below `folder`; the new folder's name (PEP 517)."""
    told = email.message_from_bytes(Path('PKG-INFO').read_bytes())
    name = f'{told["Name"]}-{told["Version"]}.dist-info'
    made = os.path.join(folder, name)
    os.mkdir(made)
    Path(made, 'METADATA').write_text(
        'Metadata-Version: 2.1\n'
        f'Name: {told["Name"]}\nVersion: {told["Version"]}\n'
    )
    return name
