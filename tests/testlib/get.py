"""Print the status and the body of what is at a URL."""

from __future__ import annotations

import sys
from urllib.error import HTTPError
from urllib.request import urlopen


def main(url: str) -> None:
    """Print it."""
    try:
        response = urlopen(url)
    except HTTPError as problem:
        response = problem
    with response:
        sys.stdout.write(f'{response.status} ')
        sys.stdout.write(response.read().decode())


if __name__ == '__main__':
    main(sys.argv[1])
