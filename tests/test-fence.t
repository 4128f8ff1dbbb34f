What a fenced primary does counts nowhere
=========================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 --primaries 2 > /dev/null
  $ as_ann
  $ hg clone -q ssh://fleet2/demo
  $ cd demo
  $ echo 1 > file; hg commit -qAm 1
  $ hg push -q ssh://fleet2/demo

A load balancer is told who can take pushes

  $ ready() {
  >   port="$("$PYTHON" -c "import json, sys
  > print(json.load(sys.stdin)['ports']['$1.ready'])" < "$DATA/fleet.json")"
  >   "$PYTHON" "$TESTDIR/testlib/get.py" "http://127.0.0.1:$port/readyz"
  > }
  $ ready hg2
  200 ready

Only primaries can be fenced

  $ hgfleet fence web1 --data "$DATA"
  abort: web1 is not a primary of this fleet
  (its primaries are hg1, hg2)
  [255]
  $ hgfleet fence ../x --data "$DATA"
  abort: '../x' is not a node name
  (use letters, digits, ".", "_" and "-")
  [255]

A fence holds at once, for pushes and for commands; the others go on

  $ hgfleet fence hg2 --data "$DATA"
  hg2 is fenced: nothing that it does counts
  $ fenced() { ready "$1" | grep -q fenced; }
  $ poll fenced hg2
  $ ready hg2
  503 this primary is fenced
  $ ready hg1
  200 ready
  $ echo 2 > file; hg commit -qm 2
  $ hg push ssh://fleet2/demo 2>&1 | grep remote:
  remote: demo cannot be changed on hg2, which is fenced
  remote: (use another primary; "hgfleet unfence hg2" lifts the fence)
  $ HGRCPATH="$DATA/nodes/hg2/hgrc" hg replicate::create other
  abort: other cannot be changed on hg2, which is fenced
  (use another primary; "hgfleet unfence hg2" lifts the fence)
  [255]
  $ hgfleet status --data "$DATA" | grep attention
  attention: hg2 is fenced: it takes no pushes
  $ hg identify ssh://fleet2/demo --id
  * (glob)
  $ hg push -q ssh://fleet/demo

What needs a primary takes one that is not fenced

  $ hgfleet fence hg1 --data "$DATA"
  hg1 is fenced: nothing that it does counts
  $ hgfleet unfence hg2 --data "$DATA"
  hg2 is not fenced any more
  $ hgfleet repo create other --data "$DATA"
  $ say '*[one["fenced"] for one in fleet["nodes"]]'
  True False False False
  $ echo 3 > file; hg commit -qm 3
  $ hg push -q ssh://fleet2/demo
  $ say '*[one["seq"] for one in fleet["repos"]]'
  4 1

  $ cd ..
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
