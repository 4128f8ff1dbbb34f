The tree follows the rules of layers, sizes and names; testlib/layout.py has
them all.

  $ cd "$TESTDIR"
  $ "$PYTHON" -m testlib.layout
