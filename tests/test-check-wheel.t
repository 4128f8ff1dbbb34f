What pip installs is what is in the tree, and it works without the tree.

A copy is built, so that nothing is left behind in the tree.

  $ mkdir -p copy/tests venv
  $ cd "$TESTDIR/.."
  $ tar -c --exclude=__pycache__ --exclude='*.egg-info' setup.py pyproject.toml \
  >     [A-Z]*.md COPYING hgext hooks pash hgrc.d tests/names \
  >     | tar -x -C "$TESTTMP/copy"
  $ cd "$TESTTMP/copy"
  $ "$PYTHON" -m pip --quiet wheel --no-deps --no-build-isolation \
  >     --no-index --wheel-dir .. .

Every file is in it, and nothing that belongs to Mercurial.

  $ "$PYTHON" -m zipfile --list ../hgfleet-*.whl > ../listed
  $ for each in hgext3rd fleethooks fleetpash fleetrc; do
  >     find -H tests/names/$each -type f ! -name '.*'
  > done | sed 's,tests/names/,,' | sort > ../wanted
  $ cd ..
  $ sed 's/  *[-0-9]* [:0-9]*  *[0-9]*$//' listed \
  >     | grep -v 'dist-info/\|^File Name' | sort > got
  $ diff wanted got
  $ grep 'hgext3rd/__init__' listed
  [1]

It is installed in an environment that has the rest from this one, without the
link to the tree that this one has.

  $ "$PYTHON" -m venv --without-pip venv
  $ there=$(echo "$PWD"/venv/lib/python3*/site-packages)
  $ "$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
  >     > "$there/rest.pth"
  $ "$PYTHON" -m pip --quiet --python venv/bin/python install --no-deps \
  >     --no-index ./hgfleet-*.whl
  $ unset PYTHONPATH
  $ cat > where.py <<EOF
  > import sys, fleethooks, fleetpash, hgext3rd.fleet
  > for each in fleethooks, fleetpash, hgext3rd.fleet:
  >     assert each.__file__.startswith(sys.argv[1]), each
  > EOF
  $ venv/bin/python where.py "$there"

Every extension loads from there.

  $ for each in "$there"/hgext3rd/*/; do
  >     name=$(basename "$each")
  >     if [ "$name" != fleet ]; then
  >         venv/bin/python "$BINDIR/hg" --config extensions.$name= version \
  >             --quiet 2>&1 | grep -v '^Mercurial Distributed SCM' || true
  >     fi
  > done
