Snapshots that a fleet makes by itself, and what one that was killed leaves
===========================================================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 --mirrors 1 > /dev/null
  $ as_ann
  $ hg clone -q ssh://fleet/demo
  $ "$PYTHON" -c 'import os, sys; sys.stdout.buffer.write(os.urandom(1 << 21))' > demo/file
  $ hg -R demo commit -qAm 'one large file'
  $ hg -R demo push -q ssh://fleet/demo
  $ hgfleet down --data "$DATA" > /dev/null
  $ blobs() { find "$DATA/blobs" -type f | wc -l; }
  $ blobs
  1
  $ cat >> "$DATA/local.rc" <<EOF
  > [replicate]
  > check-share = 100%
  > check-interval = never
  > verify-interval = never
  > snapshot-interval = 1 s
  > lease = 60
  > EOF

The daemon of one node makes it, when the repository has not changed for long

  $ up > /dev/null
  $ listed() {
  >   [ "$(blobs)" = 2 ] && grep -q '"snapshot"' "$DATA"/nodes/*/state/checked.json
  > }
  $ poll listed
  $ sleep 2
  $ blobs
  2
  $ hgfleet down --data "$DATA" > /dev/null
  $ on() { (HGRCPATH="$DATA/nodes/$1/hgrc"; shift; "$@"); }
  $ on hg1 hg replicate::snapshot demo
  demo: entry 2, as before

From it a mirror starts that has nothing, and no blob of a push

  $ rm -r "$DATA/nodes/web1/repos" "$DATA/nodes/web1/state"
  $ on web1 hg replicate::bootstrap demo
  demo: started from a snapshot of entry 2
  demo: at entry 2

One that is killed before it is listed leaves what nobody knows

  $ echo 'snapshot-interval = never' >> "$DATA/local.rc"
  $ up > /dev/null
  $ echo more > demo/file
  $ hg -R demo commit -m more
  $ hg -R demo push -q ssh://fleet/demo
  $ on hg1 hg replicate::snapshot demo --config devel.fleet-failpoint=snapshot.stored
  *Killed* (glob) (?)
  [137]
  $ blobs
  3
  $ current() {
  >   [ "$(say 'sum(n["lag_entries"] for n in fleet["nodes"])')" = 0 ]
  > }
  $ poll current

It may be of a run that goes on; a day later it is none

  $ hgfleet doctor --data "$DATA"
  nothing is wrong
  $ cat > later.py <<EOF
  > from mercurial import extensions
  > from hgext3rd.fleet.adapters.clock_system import SystemClock
  > extensions.wrapfunction(SystemClock, 'wall', lambda orig, self: orig(self) + 90000)
  > EOF
  $ later() { hgfleet "$@" --data "$DATA" --config extensions.later=later.py; }
  $ later doctor
  blobs: 1 snapshots, of runs that were killed, are in no list
    remove them: hgfleet doctor --fix
  [1]
  $ later doctor --fix
  blobs: 1 snapshots, of runs that were killed, are in no list
    mended
  $ blobs
  2
  $ on hg1 hg replicate::snapshot
  demo: entry 3, * bytes (glob)
  $ hgfleet down --data "$DATA" > /dev/null
  $ left
