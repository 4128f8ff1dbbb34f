What is wrong with a fleet, and what helps
==========================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 > /dev/null

Nothing is to be mended here but by the doctor.

  $ hgfleet down --data "$DATA" > /dev/null
  $ cat >> "$DATA/local.rc" <<EOF
  > [replicate]
  > check-interval = never
  > verify-interval = never
  > snapshot-interval = never
  > lease = 60
  > EOF
  $ up > /dev/null
  $ as_ann
  $ hg clone -q ssh://fleet/demo
  $ echo 1 > demo/file
  $ hg -R demo commit -qAm 1
  $ hg -R demo push -q ssh://fleet/demo
  $ current() {
  >   [ "$(say 'sum(n["lag_entries"] for n in fleet["nodes"])')" = 0 ]
  > }
  $ poll current
  $ hgfleet doctor --data "$DATA"
  nothing is wrong

Somebody has changed a mirror's copy, which only its digest tells

  $ HGRCPATH= hg -R "$DATA/nodes/web2/repos/demo" phase --force --draft 0
  $ hgfleet doctor --data "$DATA"
  demo on web2: it is not what entry 2 made it
    HGRCPATH=$TESTTMP/fleet/nodes/web2/hgrc hg replicate::rebuild demo
  [1]
  $ hgfleet doctor --data "$DATA" --json | tr -d '\n' | tr -s ' '; echo
  { "findings": [ { "about": "demo on web2", "what": "it is not what entry 2 made it", "remedy": "HGRCPATH=$TESTTMP/fleet/nodes/web2/hgrc hg replicate::rebuild demo", "fixed": false } ]}
  $ hgfleet doctor --data "$DATA" --fix
  demo on web2: it is not what entry 2 made it
    mended
  $ hgfleet doctor --data "$DATA"
  nothing is wrong

A fleet that is not up, and a copy that cannot be read

  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ rm "$DATA/nodes/web1/repos/demo/.hg/requires"
  $ hgfleet doctor --data "$DATA"
  fleet: the fleet is not up
    see $TESTTMP/fleet/log and "hgfleet up"
  demo on web1: * (glob)
    HGRCPATH=$TESTTMP/fleet/nodes/web1/hgrc hg replicate::rebuild demo
  [1]
  $ left
