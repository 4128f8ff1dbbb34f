ruff finds nothing, and would not format any file otherwise. `make format`
repairs most of it.

  $ cd "$TESTDIR/.."
  $ ruff check --quiet --output-format concise .
  $ ruff format --quiet --diff .
