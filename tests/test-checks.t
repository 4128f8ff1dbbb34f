What people see whose push is checked.

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ rc=$("$PYTHON" -c 'import fleetrc; print(list(fleetrc.__path__)[0])')
  $ cat > users.toml <<EOF
  > [users.ann]
  > groups = ["staff"]
  > [users.bob]
  > groups = ["vendors"]
  > EOF
  $ cat >> p1/hgrc <<EOF
  > %include $rc/checks.rc
  > [fleet]
  > directory = file://$TESTTMP/users.toml
  > [checks]
  > sizes.most = 100
  > bookmarks = enforce
  > bookmarks.allowed = dev/*
  > paths = enforce
  > bypass.sizes = vendors, @zoe
  > [phases]
  > publish = no
  > [checks.paths]
  > vendor/** = vendors
  > EOF
  $ on p1 hg replicate::create demo
  $ cp p1/hgrc hgrc.start
  $ as() {
  >     (cat "$TESTTMP/hgrc.start"; printf '[fleet]\nuser = %s\n' "$1"
  >      cat "$TESTTMP/more") > "$TESTTMP/p1/hgrc"
  > }
  $ touch more
  $ cat > door <<EOF
  > #!/bin/sh
  > SSH_CLIENT='10.1.2.3 4 22' exec $TESTTMP/ssh "\$@"
  > EOF
  $ chmod +x door
  $ cat >> $HGRCPATH <<EOF
  > [ui]
  > ssh = $TESTTMP/door
  > username = Ann <ann@example.org>
  > [alias]
  > p = push -q ssh://p1/demo
  > EOF
  $ as ann

What is good is accepted, and nothing is said.

  $ hg init work
  $ cd work
  $ echo a > a
  $ hg commit -q -A -m a
  $ hg p

All failures are told at once: changeset, file, remedy, and who may.

  $ mkdir vendor
  $ seq 100 > vendor/numbers
  $ ln -s /etc/passwd link
  $ echo A > A
  $ hg commit -q -A -m 'all wrong' -d '2100000000 0'
  $ printf '<<<<<<< mine\n' > b
  $ hg commit -q -A -m 'a warning'
  $ hg push ssh://p1/demo
  pushing to ssh://p1/demo
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: check conflicts warns:
  remote:   8360edb88dae b: a line is added that begins with <<<<<<<
  remote:   remedy: resolve the conflict, and amend the changeset
  remote: check dates refuses this push:
  remote:   3c6cd4c884b7: its date is 2036-07-18 13:20 UTC, which is in the future
  remote:   remedy: set your clock, and amend it with the date of today
  remote:   bypass: nobody may
  remote: check filenames refuses this push:
  remote:   3c6cd4c884b7 A: it differs only by case from a
  remote:   remedy: give it another name
  remote:   bypass: nobody may
  remote: check symlinks refuses this push:
  remote:   3c6cd4c884b7 link: it is a symbolic link to '/etc/passwd'
  remote:   remedy: let it lead to a file of the repository, by a relative path
  remote:   bypass: nobody may
  remote: check paths refuses this push:
  remote:   3c6cd4c884b7 vendor/numbers: ann may not change it
  remote:   remedy: let one of these push it: vendors
  remote:   bypass: nobody may
  remote: check sizes refuses this push:
  remote:   3c6cd4c884b7 vendor/numbers: it has 292 bytes, more than 100 bytes
  remote:   remedy: keep files of more than 100 bytes somewhere else
  remote:   bypass: vendors, @zoe, with --pushvars "BYPASS=sizes:REASON"
  remote: transaction abort!
  remote: rollback completed
  remote: push refused by the checks dates, filenames, symlinks, paths, sizes
  remote: (nothing was changed; see above)
  abort: push failed on remote
  [100]

With CHECK_ONLY nothing else is done, whatever comes out.

  $ hg p --pushvars CHECK_ONLY=1 2>&1 | grep -v '^remote:  '
  remote: only checked, as asked for: refused by the checks dates, filenames, symlinks, paths, sizes
  remote: (nothing was changed)
  abort: push failed on remote
  $ hg update -q -r 0
  $ echo b > b
  $ hg commit -q -A -m b
  $ hg p -r . --pushvars CHECK_ONLY=1
  remote: only checked, as asked for: no check refuses this push
  remote: (nothing was changed; push without CHECK_ONLY)
  abort: push failed on remote
  [100]
  $ on p1 hg -R "$TESTTMP/p1/repos/demo" log -T '{rev}\n'
  0

What is not understood is refused, rather than passed over.

  $ hg p -r . --pushvars CHECKONLY=1
  remote: the push variable CHECKONLY is not known here
  remote: (use CHECK_ONLY=1 or BYPASS=POLICY:REASON)
  abort: push failed on remote
  [100]
  $ hg p -r . --pushvars CHECK_ONLY=yes
  remote: CHECK_ONLY is not 1
  remote: (use --pushvars CHECK_ONLY=1)
  abort: push failed on remote
  [100]
  $ hg p -r . --pushvars BYPASS=sizes
  remote: a bypass needs a reason
  remote: (use --pushvars "BYPASS=POLICY:REASON", with a reason of at most 500 characters)
  abort: push failed on remote
  [100]
  $ hg p -r . --pushvars 'BYPASS=size:because'
  remote: there is no check size that could be bypassed here
  remote: (use names of checks that have refused this push)
  abort: push failed on remote
  [100]

A bypass needs the right to it, and is written down.

  $ seq 100 > big
  $ hg commit -q -A -m big
  $ hg p -r . --pushvars 'BYPASS=heads,sizes:for the release'
  remote: ann may not bypass the check heads
  remote: (those who may: nobody)
  abort: push failed on remote
  [100]
  $ hg p -r . --pushvars 'BYPASS=sizes:for the release'
  remote: ann may not bypass the check sizes
  remote: (those who may: vendors, @zoe)
  abort: push failed on remote
  [100]
  $ as bob
  $ hg p -r . --pushvars 'BYPASS=sizes:for the release'
  $ grep -v '"create"' "$TESTTMP/p1/state/audit.log" \
  >     | sed 's/"time": "[^"]*"/"time": T/'
  {"time": T, "node": "p1", "event": "push", "who": "ann", "from": "10.1.2.3", "repo": "demo", "what": "entry 2, changesets: 1", "decision": "allowed"}
  {"time": T, "node": "p1", "event": "push", "who": "ann", "from": "10.1.2.3", "repo": "demo", "decision": "denied", "reason": "push refused by the checks dates, filenames, symlinks, paths, sizes"}
  {"time": T, "node": "p1", "event": "bypass", "who": "ann", "from": "10.1.2.3", "repo": "demo", "what": "heads", "decision": "denied", "reason": "for the release"}
  {"time": T, "node": "p1", "event": "bypass", "who": "ann", "from": "10.1.2.3", "repo": "demo", "what": "sizes", "decision": "denied", "reason": "for the release"}
  {"time": T, "node": "p1", "event": "bypass", "who": "bob", "from": "10.1.2.3", "repo": "demo", "what": "sizes", "decision": "allowed", "reason": "for the release"}
  {"time": T, "node": "p1", "event": "push", "who": "bob", "from": "10.1.2.3", "repo": "demo", "what": "entry 3, changesets: 2", "decision": "allowed"}
  $ as ann

Pushes that only move bookmarks or phases are pushes.

  $ hg bookmark -r . dev/x main
  $ hg p -B main
  remote: push refused by the check bookmarks
  remote: (nothing was changed; see above)
  abort: push failed on remote
  [100]
  $ hg push -r . -B main ssh://p1/demo 2>&1 | grep bookmark
  remote: check bookmarks refuses this push:
  remote:   cf3a7ded3895: bookmark main would be made
  remote: push refused by the check bookmarks
  $ hg p -B dev/x
  [1]
  $ cat > "$TESTTMP/never.py" <<EOF
  > """A policy of this site's own."""
  > from hgext3rd.fleet.core.checks import Failure, Judge
  > ITEMS = {'what': 'no'}
  > def begin(options, push):
  >     def end():
  >         yield Failure(options.text('what'), 'give up')
  >     return Judge(end=end)
  > EOF
  $ cat > "$TESTTMP/raises.py" <<EOF
  > from hgext3rd.fleet.core.checks import Judge
  > ITEMS = {}
  > def begin(options, push):
  >     def change(change):
  >         raise KeyError(change.node)
  >     return Judge(change=change)
  > EOF
  $ export PYTHONPATH="$TESTTMP:$PYTHONPATH"
  $ set_more() { printf '[checks]\n' > "$TESTTMP/more"; cat >> "$TESTTMP/more"; as ann; }
  $ set_more <<EOF
  > policy.never = never
  > never = enforce
  > never.what = no changes at all
  > EOF
  $ hg phase --public -r .
  $ hg push -r . ssh://p1/demo
  pushing to ssh://p1/demo
  searching for changes
  no changes found
  remote: check never refuses this push:
  remote:   no changes at all
  remote:   remedy: give up
  remote:   bypass: nobody may
  remote: push refused by the check never
  remote: (nothing was changed; see above)
  abort: push failed on remote
  [100]

What cannot be loaded, fails, or has settings that make no sense, refuses. The
client sees no traceback; administrators do.

  $ echo c > c
  $ hg commit -q -A -m c
  $ echo 'policy.gone = gone' | (cat; echo 'gone = warn') | set_more
  $ hg p -r .
  remote: the check gone cannot be loaded: No module named 'gone'
  remote: (tell an administrator of this server)
  abort: push failed on remote
  [100]
  $ printf 'policy.raises = raises\nraises = warn\n' | set_more
  $ hg p -r .
  remote: push refused by the check raises
  remote: (nothing was changed; see above)
  abort: push failed on remote
  [100]
  $ grep -c ^KeyError "$TESTTMP/p1/state/errors.log"
  1
  $ echo 'sizes.most = plenty' | set_more
  $ hg p -r .
  remote: [checks] sizes.most is 'plenty'
  remote: (use a size such as "100 KB" or "5 MB")
  abort: push failed on remote
  [100]
  $ echo 'sizes = yes' | set_more
  $ hg p -r .
  remote: [checks] sizes is 'yes'
  remote: (use enforce, warn or off)
  abort: push failed on remote
  [100]
  $ echo 'size = enforce' | set_more
  $ hg p -r .
  remote: [checks] size is not known
  remote: (see "hg help checks-policies" for what is)
  abort: push failed on remote
  [100]
  $ echo 'sizes.mots = 5' | set_more
  $ hg p -r .
  remote: [checks] sizes.mots is not known
  remote: (see "hg help checks-policies" for what is)
  abort: push failed on remote
  [100]
  $ echo 'bypass.size = ann' | set_more
  $ hg p -r .
  remote: [checks] bypass.size is not known
  remote: (see "hg help checks-policies" for what is)
  abort: push failed on remote
  [100]
  $ printf '[extensions]\nchecks = /nowhere.py\n' > "$TESTTMP/more"; as ann
  $ hg p -r . 2>&1 | grep required
  remote: (loading of this extension was required, see `hg help config.extensions` for details)

A repository may have settings of its own. Those who push see where to look at
what they have pushed.

  $ set_more <<EOF
  > urls = https://hg.example.org/{repo}/rev/{node}
  > EOF
  $ cat >> "$TESTTMP/p1/repos/demo/.hg/hgrc" <<EOF
  > [checks]
  > sizes = warn
  > EOF
  $ seq 99 > big
  $ hg commit -q -m 'still big'
  $ hg push -r . ssh://p1/demo
  pushing to ssh://p1/demo
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: check sizes warns:
  remote:   a80b99c8b074 big: it has 288 bytes, more than 100 bytes
  remote:   remedy: keep files of more than 100 bytes somewhere else
  remote: added 2 changesets with 2 changes to 2 files
  remote: https://hg.example.org/demo/rev/cfd43bb9e832399886436f0e76dc31ff0dbfc086
  remote: https://hg.example.org/demo/rev/a80b99c8b074ac10340512891fbd1915d3f14737

What the ledger hands over was judged when it was made.

  $ cd ..
  $ node m1 mirror
  $ cat >> m1/hgrc <<EOF
  > [extensions]
  > checks =
  > [checks]
  > policy.never = never
  > never = enforce
  > EOF
  $ on m1 hg replicate::catchup demo
  demo: at entry 5
  $ on m1 hg -R m1/repos/demo tip -T '{desc}\n'
  still big

All policies and their settings are in the help.

  $ hg help checks-policies --config extensions.checks= > help
  $ for each in $("$PYTHON" -c 'import fleethooks; print(*fleethooks.POLICIES)'); do
  >     grep -q "^ *$each: " help || echo "$each is missing"
  > done
  $ sed -n '/ sizes: /,/ encodings: /p' help
      sizes: no file is too large
      ===========================
  
      "checks.sizes.most" (default 10 MB)
        what one revision of a file may have.
  
      "checks.sizes.except" (globs, default none)
        files that may be larger, such as "media/**".
  
      encodings: text is UTF-8
  $ hg help checks --config extensions.checks= | head -n 9
  checks extension - judge pushes by policies
  
  All policies that are in force look at a push in one pass, before anything of
  it is kept, and whoever pushes is told at once what all of them have found: in
  which changeset, in which file, what helps, and who may bypass it. Pushes that
  only move bookmarks or phases are judged as well. What a repository gets from
  the ledger is not, since it was judged when it was pushed; nor is what is
  pulled on the server itself.
  
