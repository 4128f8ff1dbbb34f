"""Get pages over HTTP: print each status and body; JSON as sorted lines."""

from __future__ import annotations

import json
import sys
from urllib import error, request


def main(urls: list[str]) -> None:
    """Print what is at each URL."""
    for url in urls:
        try:
            answer = request.urlopen(url)
        except error.HTTPError as problem:
            answer = problem
        with answer:
            kind = answer.headers['Content-Type']
            print(answer.status, kind)
            body = answer.read().decode()
        if kind == 'application/json':
            body = json.dumps(json.loads(body), indent=1, sort_keys=True)
        print(body.rstrip('\n'))


if __name__ == '__main__':
    main(sys.argv[1:])
