Snapshots of a fleet, and a fleet that is as another was
========================================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ hgfleet snapshot --data "$DATA"
  abort: there is no fleet in $TESTTMP/fleet
  (to make one: hgfleet up --data $TESTTMP/fleet)
  [255]
  $ up --ssh-port 0 --http-port 0 --mirrors 1 > out
  $ hgfleet repo create big --data "$DATA"
  $ push() {
  >     hg -R "$1" commit -qAm "$2" -u ann
  >     hg -R "$1" push -q --ssh "ssh -F $DATA/client/ssh_config"
  > }
  $ for each in demo big; do
  >     hg clone -q --ssh "ssh -F $DATA/client/ssh_config" ssh://fleet/$each
  > done
  $ echo 1 > demo/file
  $ push demo first
  $ "$PYTHON" -c 'import os, sys; sys.stdout.buffer.write(os.urandom(1 << 21))' > big/file
  $ push big large
  $ hgfleet snapshot big demo --data "$DATA"
  big: entry 2, * bytes (glob)
  demo: entry 2, * bytes (glob)
  $ hgfleet snapshot --data "$DATA" -T json | grep -e seq -e fresh -e removed
    "fresh": false,
    "removed": 0,
    "seq": 2,
    "fresh": false,
    "removed": 0,
    "seq": 2,
  $ hgfleet snapshot nowhere --data "$DATA"
  there is no repository nowhere
  [1]
  $ echo 2 > demo/file
  $ push demo second
  $ echo 2 > big/other
  $ push big unwanted

A mirror that is added starts from them

  $ hgfleet down --data "$DATA" > /dev/null
  $ up --mirrors 2 > out
  $ grep -o 'big: started from .*' "$DATA/log/web2.daemon.log"
  big: started from a snapshot of entry 2
  $ for each in $(say '*[one["url"] for one in fleet["nodes"][1:]]'); do
  >     hg identify --id ${each}big
  > done | uniq -c | sed 's/[0-9a-f]*$/NODE/'
        2 NODE

A fleet as it was, beside the one that goes on

  $ hgfleet restore --from "$DATA" --to demo@3 --data "$DATA"
  abort: $TESTTMP/fleet exists already
  (name a folder that does not)
  [255]
  $ hgfleet restore --from "$DATA" --to demo@4 --data past
  abort: --to demo@4: the last entry of demo is 3
  [255]
  $ hgfleet restore --from "$DATA" --to none@4 --data past
  abort: --to none@4: there is no none
  [255]
  $ hgfleet restore --from "$DATA" --to 'some day' --data past
  abort: --to some day: this is neither REPO@SEQ nor a date
  (such as "2026-01-31 12:00:00Z"; see "hg help dates")
  [255]
  $ hgfleet restore --from "$DATA" --data past --to '1999-12-31 00:00Z'
  restored 0 repositories with 0 entries in $TESTTMP/past
  to start it: hgfleet up --data $TESTTMP/past
  $ rm -r past
  $ cat > "$DATA/local.rc" <<EOF
  > [fleet]
  > ledger = sqlite:///elsewhere
  > EOF
  $ hgfleet restore --from "$DATA" --data past
  abort: $TESTTMP/fleet/local.rc sets [fleet] ledger; only a fleet whose ledger and blobs are in its folder can be restored
  [255]
  $ rm "$DATA/local.rc"
  $ ls
  big
  demo
  fleet
  out

Of a backup without the nodes, after an attempt that was killed

  $ mkdir backup
  $ (cd "$DATA" && cp -r ledger.db* blobs users.toml access.rc ssh client fleet.json version "$TESTTMP/backup")
  $ mkdir past.unfinished
  $ echo 1 > past.unfinished/version
  $ touch past.unfinished/ledger.db
  $ hgfleet restore --from backup --to demo@3 --data past
  restored 2 repositories with 5 entries in $TESTTMP/past
  to start it: hgfleet up --data $TESTTMP/past
  $ rm -r backup
  $ ls -A
  big
  demo
  fleet
  out
  past
  $ DATA="$TESTTMP/past"
  $ up --ssh-port 0 --http-port 0 > out
  $ say 'fleet["repos"]'
  [{'name': 'big', 'seq': 2, *}, {'name': 'demo', 'seq': 3, *}] (glob)
  $ grep -o 'big: started from .*' "$DATA/log/web2.daemon.log"
  big: started from a snapshot of entry 2
  $ for node in hg1 web1 web2; do
  >     for each in big demo; do
  >         HGRCPATH="$DATA/nodes/$node/hgrc" \
  >             hg -R "$DATA/nodes/$node/repos/$each" replicate::digest -T '{seq} {ifeq(ledger, actual, "same", "other")}\n'
  >     done
  > done | tr '\n' ' '
  2 same 3 same 2 same 3 same 2 same 3 same  (no-eol)
  $ echo 3 > demo/file
  $ push demo third
  $ hgfleet down --data "$DATA" > /dev/null
  $ hgfleet down --data "$TESTTMP/fleet" > /dev/null
  $ left
