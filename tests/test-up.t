One command runs a fleet
========================

  $ . "$TESTDIR/testlib/fleet.sh"

The first start makes everything, and says what to try

  $ up --ssh-port 0 --http-port 0 > out
  $ sed 's/port [0-9]*/PORT/g' out | grep '^[a-z][a-z]*[: ]'
  making a fleet in $TESTTMP/fleet
  starting hg1 (PORT), web1 (PORT), web2 (PORT)
  ready: 1 primary, 2 mirrors in $TESTTMP/fleet
  $ sed 's/port [0-9]*/PORT/g' out | grep '^[a-z]*[12]: ' | sort
  hg1: follows the ledger
  hg1: sshd answers on PORT
  web1: follows the ledger
  web1: serves http://$LOCALIP:*/ (glob)
  web1: shows demo
  web2: follows the ledger
  web2: serves http://$LOCALIP:*/ (glob)
  web2: shows demo
  $ stat -c %a "$DATA" "$DATA/client/key" "$DATA/ssh/host_key" "$DATA/log"
  700
  600
  600
  700

The lines that it prints work as they are printed

  $ grep '^  ' out > lines
  $ cat lines
    hg clone http://$LOCALIP:*/demo (glob)
    date > demo/date.txt
    hg -R demo commit --addremove --user you --message "try it"
    hg -R demo push --ssh "ssh -F $TESTTMP/fleet/client/ssh_config" ssh://fleet/demo
    hgfleet status --data $TESTTMP/fleet
  $ sh -e lines > shown; tail -n 17 shown
  remote: added 1 changesets with 1 changes to 1 files
  node  role     serves  offset  lag * (glob)
  hg1   primary  yes     * ssh://fleet/ (glob)
  web1  mirror   yes     * http://$LOCALIP:*/ (glob)
  web2  mirror   yes     * http://$LOCALIP:*/ (glob)
  
  part         state * pid * restarts (glob)
  hg1.daemon   * 0 (glob)
  hg1.warm     * 0 (glob)
  hg1.sshd     * 0 (glob)
  web1.daemon  * 0 (glob)
  web1.web     * 0 (glob)
  web2.daemon  * 0 (glob)
  web2.web     * 0 (glob)
  
  repository  seq  heads  visible  last push * (glob)
  demo        2    1 * admin (glob)

The push is on every mirror, and nothing is wrong

  $ seen() {
  >     [ "$(say 'fleet["repos"][0]["visible_heads"], sum(one["lag_entries"] for one in fleet["nodes"])')" = "1 0" ]
  > }
  $ poll seen
  $ for each in $(say '*[one["url"] for one in fleet["nodes"][1:]]'); do
  >     hg identify --id ${each}demo
  > done | sort -u | wc -l
  1
  $ hgfleet status --data "$DATA" --check > /dev/null
  $ say 'fleet["repos"]'
  [{'name': 'demo', 'seq': 2, 'heads': 1, 'visible_heads': 1, 'last_push': '*T*:*:*Z', 'last_user': 'admin'}] (glob)
  $ say '*[[n[key] for key in ("name", "offset", "lag_entries", "lag_seconds", "serving", "restarts")] for n in fleet["nodes"]], sep="\n"'
  ['hg1', 2, 0, 0.0, True, 0]
  ['web1', 2, 0, 0.0, True, 0]
  ['web2', 2, 0, 0.0, True, 0]
  $ say 'all(0 < one["lease"] <= 5 for one in fleet["nodes"][1:])'
  True

It stops as a whole, and status still tells

  $ cp "$DATA/fleet.json" ports
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet was not up
  $ hgfleet status --data "$DATA" --check | tail -n 4
  repository  seq  heads  visible  last push * (glob)
  demo        2    1      1 * admin (glob)
  
  attention: the fleet is not up
  $ say '*{part["state"] for n in fleet["nodes"] for part in n["parts"]}'
  stopped

It goes on where it was: same nodes, same ports, same content

  $ up --mirrors 3 > out
  $ grep ^ready out
  ready: 1 primary, 3 mirrors in $TESTTMP/fleet
  $ "$PYTHON" - <<EOF
  > import json
  > old, new = (json.load(open(name)) for name in ('ports', '$DATA/fleet.json'))
  > assert new['ports'].pop('web3')
  > print(old['ports'] == new['ports'])
  > EOF
  True
  $ for each in $(say '*[one["url"] for one in fleet["nodes"][1:]]'); do
  >     hg identify --id ${each}demo
  > done | uniq -c | sed 's/[0-9a-f]*$/NODE/'
        3 NODE
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
