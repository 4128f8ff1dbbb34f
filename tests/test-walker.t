A mirror looks after its copies: what is damaged is found, and made anew
========================================================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 --mirrors 1 > /dev/null
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ cat >> "$DATA/local.rc" <<EOF
  > [replicate]
  > check-share = 100%
  > check-interval = 1 s
  > verify-interval = 1 s
  > snapshot-interval = never
  > lease = 60
  > EOF
  $ up > /dev/null
  $ as_ann
  $ hgfleet repo create other --data "$DATA"
  $ hg clone -q ssh://fleet/demo
  $ cd demo
  $ for number in 1 2 3; do
  >   seq $number 400 > file
  >   hg commit -qAm "$number"
  > done
  $ hg bookmark main
  $ hg push -q -B main ssh://fleet/demo
  $ hg push -q ssh://fleet/other
  $ cd ..

Readers of another repository, all the time

  $ URL=$(say 'fleet["nodes"][-1]["url"]' | sed 's,/$,,')
  $ cat > reader.py <<EOF
  > import os, sys, time, urllib.error, urllib.request
  > url, stop, out = sys.argv[1:]
  > bad = count = 0
  > deadline = time.monotonic() + 3600
  > while not os.path.exists(stop) and time.monotonic() < deadline:
  >     try:
  >         with urllib.request.urlopen(url, timeout=60) as reply:
  >             bad += reply.status != 200
  >     except (urllib.error.URLError, OSError) as problem:
  >         bad += 1
  >     count += 1
  >     time.sleep(0.02)
  > with open(out, 'w') as file:
  >     file.write(f'{count > 50} {bad}\n')
  > EOF
  $ answers() {
  >   "$PYTHON" -c "import urllib.request; urllib.request.urlopen('$URL/$1?cmd=branchmap', timeout=60)"
  > }
  $ poll answers other
  $ "$PYTHON" reader.py "$URL/other?cmd=branchmap" enough seen > reader.log 2>&1 &
  $ reader=$!

Each kind of damage, by hand: what was found is in the daemon's log

  $ node="$DATA/nodes/web1"
  $ store="$node/repos/demo/.hg/store"
  $ log="$DATA/log/web1.daemon.log"
  $ news() { tail -n "+$((start + 1))" "$log" | grep 'demo: '; }
  $ healed() { news | grep -q 'demo: made anew'; }
  $ heals() {
  >   start=$(wc -l < "$log")
  >   "$@"
  >   poll healed
  >   news
  >   poll answers demo
  > }
  $ cat > flip.py <<EOF
  > import sys
  > with open(sys.argv[1], 'r+b') as file:
  >     file.seek(-30, 2)
  >     data = file.read(1)
  >     file.seek(-30, 2)
  >     file.write(bytes([data[0] ^ 0x55]))
  > EOF
  $ heals "$PYTHON" flip.py "$store/data/file.i"
  quarantined: demo: its content is damaged: * (glob)
  demo: is made anew
  demo: following again
  demo: made anew
  $ cat > change.py <<EOF
  > import sys
  > with open(sys.argv[1], 'w') as file:
  >     file.write(f'{sys.argv[2]} main\n')
  > EOF
  $ heals "$PYTHON" change.py "$store/bookmarks" "$(hg -R demo log -r 0 -T '{node}')"
  quarantined: demo: it is not what entry 2 made it
  demo: is made anew
  demo: following again
  demo: made anew
  $ heals rm "$store/data/file.i"
  quarantined: demo: its content is damaged: * (glob)
  demo: is made anew
  demo: following again
  demo: made anew
  $ heals rm "$store/fleet-applied"
  quarantined: demo: fleet-applied is missing
  demo: is made anew
  demo: following again
  demo: made anew
  $ heals mv "$node/repos/demo/.hg" "$TESTTMP/gone"
  quarantined: demo: it is at entry 0, and has been at 2
  demo: is made anew
  demo: following again
  demo: made anew

Nobody noticed anything of it in the other repository

  $ touch enough
  $ wait $reader
  $ cat seen
  True 0

What was put aside can be looked at

  $ ls "$node/state/broken" | sed 's/[0-9]*$//'
  demo.
  demo.
  demo.
  demo.
  $ kept="$node/state/broken/$(ls "$node/state/broken" | head -1)"
  $ cat "$kept/reason"
  demo: its content is damaged: * (glob)
  $ HGRCPATH= hg -R "$kept" verify -q > /dev/null 2>&1
  [1]

It is what it should be, and takes what comes

  $ echo more >> demo/file
  $ hg -R demo commit -m more
  $ hg -R demo push -q ssh://fleet/demo
  $ current() {
  >   [ "$(say 'sum(n["lag_entries"] for n in fleet["nodes"])')" = 0 ]
  > }
  $ poll current
  $ hgfleet doctor --data "$DATA"
  nothing is wrong
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
