The types are right, with Mercurial's own taken from its sources.

  $ cd "$TESTDIR/.."
  $ mypy --no-error-summary tests/names/hgext3rd tests/names/fleethooks \
  >     tests/names/fleetpash

  $ mypy --no-error-summary tests/testlib tests/faults
  $ [ ! -d bench ] || mypy --no-error-summary bench
