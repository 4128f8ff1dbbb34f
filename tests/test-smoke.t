Every extension loads, on the oldest supported Mercurial as well as on the one
that is pinned.

  $ for each in "$TESTDIR"/../hgext/*/; do
  >     name=$(basename "$each")
  >     if [ "$name" != fleet ] && [ -f "$each/__init__.py" ]; then
  >         hg --config extensions.$name= version --quiet > out 2>&1 \
  >             && grep -q '^Mercurial ' out && [ "$(wc -l < out)" = 1 ] \
  >             || { echo "extension $name:"; cat out; }
  >     fi
  > done
