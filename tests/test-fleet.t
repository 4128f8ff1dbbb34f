A real history goes in over SSH, and comes out of every mirror the same
=======================================================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ history=slice; size=301; more=3
  $ if [ -n "$HGFLEET_THOROUGH" ]; then history=releases; size=13443; more=200; fi
  $ export size more
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
  $ hg clone -qU "$("$PYTHON" "$TESTDIR/history" $history --print)" source
  $ hg -R source push ssh://fleet/demo | tail -n 1
  remote: added (301|13443) changesets with \d+ changes to \d+ files (re)
  $ hg -R source push -q ssh://fleet/drafts

More pushes: changesets, a bookmark, and a changeset that replaces another

  $ hg clone -q source work
  $ cd work
  $ for i in $(seq $more); do
  >   echo $i >> new; hg commit -qAm "change $i"; hg push -q ssh://fleet/demo
  > done
  $ hg bookmark -r 5 five
  $ hg push -q -B five ssh://fleet/demo
  [1]
  $ hg bookmark -d five
  $ hg phase --force --draft 'desc("re:^change ")'
  $ hg push -q ssh://fleet/drafts
  $ echo more >> new
  $ hg commit -q --amend -m 'change amended'
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
  >     fetch "${url}$repo/json-pushes?version=2&startID=0&endID=999" \
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
  demo \d+ as the ledger says (re)
  demo \d+ as the ledger says (re)
  demo \d+ as the ledger says (re)
  drafts 4 as the ledger says
  drafts 4 as the ledger says
  drafts 4 as the ledger says
  $ [ "$(grep -c ' public ' demo1.log)" = $((size + more)) ]
  $ grep -c ' public five$' demo1.log
  1
  $ [ "$(grep -c ' public ' drafts1.log)" = "$size" ]
  $ [ "$(grep -c ' draft ' drafts1.log)" = "$more" ]
  $ "$PYTHON" -c 'import json, os
  > size, more = int(os.environ["size"]), int(os.environ["more"])
  > def pushes(name):
  >     told = json.load(open(f"{name}1.json"))["pushes"].items()
  >     return [(int(id), len(p["changesets"]), p["user"]) for id, p in told]
  > single = [(n + 2, 1, "admin") for n in range(more)]
  > assert pushes("demo") == [(1, size, "admin"), *single], pushes("demo")
  > assert pushes("drafts")[0] == (1, size, "admin"), pushes("drafts")
  > print(pushes("drafts")[1][1] == more - 1, pushes("drafts")[2:])'
  True [(3, 1, 'admin')]

Who pulls gets the marker, too, and does not see what was replaced

  $ hg clone -q "$(cut -d ' ' -f 1 urls)drafts" puller
  $ hg -R puller debugobsolete | wc -l
  1
  $ [ "$(hg -R puller log -r 'desc("re:^change ")' -T 'x\n' | wc -l)" = "$more" ]
  $ hg -R puller log -r tip -T '{desc}\n'
  change amended

  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
