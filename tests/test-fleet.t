A real history goes in over SSH, and comes out of every mirror the same
=======================================================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 > /dev/null
  $ say '" ".join(n["url"] for n in fleet["nodes"] if n["url"])' > urls
  $ cat > client.rc <<EOF
  > [ui]
  > ssh = ssh -F $DATA/client/ssh_config
  > username = ann
  > [experimental]
  > evolution = all
  > [phases]
  > publish = no
  > EOF
  $ HGRCPATH="$TESTTMP/client.rc"
  $ export HGRCPATH

Two repositories: one that publishes, and one that does not

  $ printf '[phases]\npublish = no\n' > draft.rc
  $ (HGRCPATH="$DATA/nodes/hg1/hgrc"; export HGRCPATH
  >  hg replicate::create drafts --hgrc draft.rc)
  $ hg clone -qU "$("$PYTHON" "$TESTDIR/history" slice --print)" source
  $ hg -R source push ssh://fleet/demo | tail -n 1
  remote: added 301 changesets with * changes to * files (glob)
  $ hg -R source push -q ssh://fleet/drafts

More pushes: changesets, a bookmark, and a changeset that replaces another

  $ hg clone -q source work
  $ cd work
  $ for i in 1 2 3; do
  >   echo $i >> new; hg commit -qAm "change $i"; hg push -q ssh://fleet/demo
  > done
  $ hg bookmark -r 5 five
  $ hg push -q -B five ssh://fleet/demo
  [1]
  $ hg bookmark -d five
  $ hg phase --force --draft 'desc("re:^change .$")'
  $ hg push -q ssh://fleet/drafts
  $ echo 4 >> new
  $ hg commit -q --amend -m 'change 4'
  $ hg push -q ssh://fleet/drafts
  $ cd ..

All nodes have the same, and say so

  $ visible() {
  >   [ "$(say '[sum(n["lag_entries"] for n in fleet["nodes"])] +
  >     [r["visible_heads"] - r["heads"] for r in fleet["repos"]]')" = '[0, 0, 0]' ]
  > }
  $ poll visible
  $ fetch() {
  >   "$PYTHON" -c 'import sys; from urllib.request import urlopen
  > print(urlopen(sys.argv[1]).read().decode())' "$1"
  > }
  $ for repo in demo drafts; do
  >   number=0
  >   for url in $(cat urls); do
  >     number=$((number + 1))
  >     HGRCPATH= hg clone -qU "$url$repo" $repo$number
  >     hg -R $repo$number verify -q
  >     hg -R $repo$number log -T '{node} {phase} {bookmarks}\n' > $repo$number.log
  >     fetch "${url}$repo/json-pushes?version=2&startID=0&endID=99" \
  >       > $repo$number.json
  >   done
  >   cmp ${repo}1.log ${repo}2.log
  >   cmp ${repo}1.json ${repo}2.json
  >   HGRCPATH="$DATA/nodes/hg1/hgrc" hg -R "$DATA/nodes/hg1/repos/$repo" log \
  >     -T '{node} {phase} {bookmarks}\n' | cmp - ${repo}1.log
  >   for node in hg1 web1 web2; do
  >     HGRCPATH="$DATA/nodes/$node/hgrc" hg -R "$DATA/nodes/$node/repos/$repo" \
  >       replicate::digest -T '{name} {seq} {ifeq(ledger, actual, "as the ledger says")}\n'
  >     HGRCPATH="$DATA/nodes/$node/hgrc" hg -R "$DATA/nodes/$node/repos/$repo" \
  >       pushlog::verify -q
  >   done
  > done
  demo 6 as the ledger says
  demo 6 as the ledger says
  demo 6 as the ledger says
  drafts 4 as the ledger says
  drafts 4 as the ledger says
  drafts 4 as the ledger says
  $ cut -d ' ' -f 2- demo1.log | sort | uniq -c
      303 public 
        1 public five
  $ cut -d ' ' -f 2- drafts1.log | sort | uniq -c
        3 draft 
      301 public 
  $ "$PYTHON" -c 'import json
  > for name in "demo", "drafts":
  >     pushes = json.load(open(f"{name}1.json"))["pushes"]
  >     print([(id, len(p["changesets"]), p["user"]) for id, p in pushes.items()])'
  [('1', 301, 'admin'), ('2', 1, 'admin'), ('3', 1, 'admin'), ('4', 1, 'admin')]
  [('1', 301, 'admin'), ('2', 2, 'admin'), ('3', 1, 'admin')]

Who pulls gets the marker, too, and does not see what was replaced

  $ hg clone -q "$(cut -d ' ' -f 1 urls)drafts" puller
  $ hg -R puller debugobsolete | wc -l
  1
  $ hg -R puller log -r 'desc("re:^change .$")' -T '{desc}\n'
  change 1
  change 2
  change 4

  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
