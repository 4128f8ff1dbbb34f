What keeps a fleet from coming up is said in one line, and nothing is started
=============================================================================

  $ . "$TESTDIR/testlib/fleet.sh"

Words and numbers that make no sense

  $ hgfleet launch
  hgfleet: there is no command 'launch'; use up, down, status, *, or help (glob)
  [255]
  $ hgfleet up
  abort: the folder of the fleet is not given
  (--data DIR)
  [255]
  $ hgfleet up --data "$DATA" --mirrors two
  abort: --mirrors is 'two'; use a number
  [255]
  $ hgfleet up --data "$DATA" --primaries 0
  abort: --primaries is 0; use 1 to 50
  [255]
  $ hgfleet up --data "$TESTTMP/with space"
  abort: the folder '$TESTTMP/with space' cannot hold a fleet
  (use a path of letters, digits and _ @ + = , . / -)
  [255]
  $ hgfleet up --data "$TESTTMP/fleet:2"
  abort: the folder '$TESTTMP/fleet:2' cannot hold a fleet
  (use a path of letters, digits and _ @ + = , . / -)
  [255]

Folders that are not ours, or not yet ours, or no longer

  $ hgfleet status --data "$DATA"
  abort: there is no fleet in $TESTTMP/fleet
  (to make one: hgfleet up --data $TESTTMP/fleet)
  [255]
  $ mkdir thesis && touch thesis/chapter1.tex
  $ hgfleet up --data thesis
  abort: $TESTTMP/thesis is not empty, and not a fleet: it has 'chapter1.tex'
  (name an empty or a new folder)
  [255]
  $ mkdir newer && echo 99 > newer/version
  $ for each in up down status "repo list"; do hgfleet $each --data newer; done
  abort: $TESTTMP/newer has format '99'; this version of hgfleet reads 1
  (use the version of hgfleet that it was made with, or a newer)
  abort: $TESTTMP/newer has format '99'; this version of hgfleet reads 1
  (use the version of hgfleet that it was made with, or a newer)
  abort: $TESTTMP/newer has format '99'; this version of hgfleet reads 1
  (use the version of hgfleet that it was made with, or a newer)
  abort: $TESTTMP/newer has format '99'; this version of hgfleet reads 1
  (use the version of hgfleet that it was made with, or a newer)
  [255]
  $ ls newer
  version

Ports that are taken

  $ "$PYTHON" -c '
  > import signal, socket
  > some = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
  > print(*[one.getsockname()[1] for one in some], flush=True)
  > signal.pause()' > taken 2>&1 &
  $ echo $! >> "$DAEMON_PIDS"
  $ poll grep -q ' ' taken
  $ read one two < taken
  $ hgfleet up --data "$DATA" --ssh-port $one --http-port 0
  abort: port *, for hg1, is taken (glob)
  (stop what listens there, or choose another with --ssh-port (0: any free one))
  [255]
  $ hgfleet up --data "$DATA" --ssh-port 0 --http-port $two --detach
  abort: port *, for web1, is taken (glob)
  (stop what listens there, or choose another with --http-port (0: any free one))
  [255]
  $ [ -e "$DATA" ]
  [1]
  $ left

Settings that cannot work are refused before anything is started

  $ up --ssh-port 0 --http-port 0 --mirrors 1 > out
  $ echo '[fleet]' > "$DATA/local.rc"; echo 'ledger = x://' >> "$DATA/local.rc"
  $ hgfleet up --data "$DATA"
  abort: the fleet in $TESTTMP/fleet is up already (pid *) (glob)
  (to stop it: hgfleet down --data $TESTTMP/fleet)
  [255]
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ hgfleet up --data "$DATA"
  abort: [fleet] ledger: the scheme 'x' is not known
  (accepted: *) (glob)
  [255]

Parts that do not work are told of at once; what was started is stopped, and
the next start goes on where that one ended

  $ cat > "$DATA/local.rc" <<EOF
  > [extensions]
  > missing =
  > missing:required = yes
  > EOF
  $ hgfleet up --data "$DATA" --detach > out
  abort: *.* ends whenever it is started: * (glob)
  (see $TESTTMP/fleet/log/*.log) (glob)
  [255]
  $ left
  $ tail -n 1 out
  stopping
  $ rm "$DATA/local.rc"
  $ up > out
  $ grep ^ready out
  ready: 1 primary, 1 mirror in $TESTTMP/fleet
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
