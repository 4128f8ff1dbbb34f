What is done to a repository on one node arrives on every other
===============================================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ cat >> $HGRCPATH << EOF
  > [experimental]
  > evolution = all
  > [phases]
  > publish = no
  > EOF

A repository is made, here one that does not publish

  $ cat > nonpublishing << EOF
  > [phases]
  > publish = no
  > EOF
  $ on p1 hg replicate::create demo --hgrc nonpublishing
  $ on m1 hg replicate::catchup demo
  demo: at entry 1
  $ cat m1/repos/demo/.hg/hgrc
  [phases]
  publish = no

  $ list() {
  >   hg log --hidden -R $1/repos/demo \
  >     -T '{rev} {desc} {phase} {bookmarks} {obsolete}\n'
  > }
  $ same() {
  >   on m1 hg replicate::catchup demo
  >   on p1 list p1 > there
  >   on m1 list m1 | tee here
  >   cmp there here
  >   on m1 hg -R m1/repos/demo replicate::digest -T '{seq}\n' > here
  >   on p1 hg -R p1/repos/demo replicate::digest -T '{seq}\n' | cmp - here
  >   cmp p1/repos/demo/.hg/store/fleet-pushlog \
  >     m1/repos/demo/.hg/store/fleet-pushlog
  > }

Changesets and a bookmark

  $ hg init c
  $ cd c
  $ for i in 1 2 3; do echo $i >> a; hg commit -qAm c$i; done
  $ hg bookmark -r 1 mark
  $ hg push -q -B mark ssh://p1/demo
  $ cd ..
  $ same
  demo: at entry 2
  1 c2 draft mark 
  0 c1 draft  

An obsolescence marker with the changeset that it makes

  $ cd c
  $ echo 4 >> a
  $ hg commit --amend -qm c4
  $ hg push -qf ssh://p1/demo
  $ echo 5 >> a
  $ hg commit --amend -qm c5
  $ hg push -qf ssh://p1/demo
  $ cd ..
  $ same
  demo: at entry 4
  3 c5 draft  
  2 c4 draft  obsolete
  1 c2 draft mark 
  0 c1 draft  

Changesets that become public

  $ cd c
  $ hg phase --public 1
  $ hg push -q ssh://p1/demo
  [1]
  $ cd ..
  $ same
  demo: at entry 5
  3 c5 draft  
  2 c4 draft  obsolete
  1 c2 public mark 
  0 c1 public  

A bookmark that moves, and goes

  $ cd c
  $ hg bookmark -f -r tip mark
  $ hg push -q -B mark ssh://p1/demo
  [1]
  $ cd ..
  $ same
  demo: at entry 6
  3 c5 draft mark 
  2 c4 draft  obsolete
  1 c2 public  
  0 c1 public  
  $ cd c
  $ hg bookmark -d mark
  $ hg push -q -B mark ssh://p1/demo
  [1]
  $ cd ..
  $ same
  demo: at entry 7
  3 c5 draft  
  2 c4 draft  obsolete
  1 c2 public  
  0 c1 public  

The same with commands on the server

  $ on p1 hg -R p1/repos/demo phase --force --draft 0
  $ on p1 hg -R p1/repos/demo phase --force --secret 1
  $ on p1 hg -R p1/repos/demo update -q --hidden tip
  $ on p1 hg -R p1/repos/demo bookmark served
  $ on p1 hg -R p1/repos/demo commit -m server --config ui.allowemptycommit=1
  $ same
  demo: at entry 11
  4 server secret served 
  3 c5 secret  
  2 c4 secret  obsolete
  1 c2 secret  
  0 c1 draft  

What the ledger cannot say is refused, and nothing happens

  $ on p1 hg -R p1/repos/demo --config extensions.strip= strip tip
  0 files updated, 0 files merged, 0 files removed, 0 files unresolved
  abort: removing changesets is not possible in demo: the ledger only adds
  (hide changesets with obsolescence markers instead)
  [255]
  $ on p1 hg -R p1/repos/demo debugstrip tip
  abort: removing changesets is not possible in demo: the ledger only adds
  (hide changesets with obsolescence markers instead)
  [255]
  $ on p1 hg -R p1/repos/demo rollback
  abort: rollback is not possible in demo: the ledger only adds
  (hide changesets with obsolescence markers instead)
  [255]
  $ on m1 hg -R m1/repos/demo bookmark nope
  abort: demo cannot be changed on m1, which is a mirror
  (push to a primary over SSH)
  [255]
  $ same
  demo: at entry 11
  4 server secret served 
  3 c5 secret  
  2 c4 secret  obsolete
  1 c2 secret  
  0 c1 draft  

A push into a mirror is refused

  $ cd c
  $ hg push ssh://m1/demo -r 0 -B served
  pushing to ssh://m1/demo
  searching for changes
  bookmark served does not exist on the local or remote repository!
  no changes found
  remote: demo cannot be changed on m1, which is a mirror
  remote: (push to a primary over SSH)
  abort: push failed on remote
  [100]
  $ echo 6 > b
  $ hg commit -qAm c6
  $ hg push -f ssh://m1/demo
  pushing to ssh://m1/demo
  searching for changes
  remote: demo cannot be changed on m1, which is a mirror
  remote: (push to a primary over SSH)
  abort: push failed on remote
  [100]
  $ cd ..

Configuration, deletion, and another repository of that name

  $ on p1 hg replicate::config demo
  $ on m1 hg replicate::catchup demo
  demo: at entry 12
  $ ls p1/repos/demo/.hg/hgrc m1/repos/demo/.hg/hgrc
  ls: cannot access 'p1/repos/demo/.hg/hgrc': No such file or directory
  ls: cannot access 'm1/repos/demo/.hg/hgrc': No such file or directory
  [2]
  $ printf '[hooks]\nupdate = echo pwned\n' > evil
  $ on p1 hg replicate::config demo evil
  abort: evil: a hosted repository may not set [hooks]
  (it may set web, phases, experimental, server, checks, checks.paths, readonly)
  [255]
  $ printf '[web]\n%%include other=rc\n' > evil
  $ on p1 hg replicate::config demo evil
  abort: evil: a hosted repository may not include other=rc
  (write all of it into one file)
  [255]
  $ printf '[web]\nnonsense\n' > evil
  $ on p1 hg replicate::config demo evil
  abort: evil cannot be used as an hgrc: * (glob)
  [255]
  $ on p1 hg replicate::delete demo
  $ on m1 hg replicate::catchup demo
  demo: at entry 13
  $ ls -d m1/repos/demo
  ls: cannot access 'm1/repos/demo': No such file or directory
  [2]
  $ on p1 hg replicate::delete demo
  abort: there is no repository demo
  [255]
  $ on p1 hg replicate::create demo
  $ on p1 hg replicate::create demo
  abort: demo exists already
  [255]
  $ hg -R c push -q -r 0 ssh://p1/demo
  $ same
  demo: at entry 15
  0 c1 public  

Names outside the grammar

  $ on p1 hg replicate::create ../demo
  abort: '../demo' is not a repository name
  (use letters, digits, ".", "_", "-" and "+", starting each part with a letter or digit)
  [255]
  $ on p1 hg replicate::create a/.hg
  abort: 'a/.hg' is not a repository name
  (use letters, digits, ".", "_", "-" and "+", starting each part with a letter or digit)
  [255]
  $ on p1 hg replicate::create -- -R
  abort: '-R' is not a repository name
  (use letters, digits, ".", "_", "-" and "+", starting each part with a letter or digit)
  [255]

A node that is killed when an entry is all but applied starts again from the one
before, and does not believe what it had written

  $ echo less >> c/b
  $ hg -R c commit -qAm less
  $ hg -R c push -q -r tip ssh://p1/demo
  $ on m1 hg replicate::catchup demo \
  >   --config devel.debug.abort-transaction=kill-9-post-finalize
  *Killed* (glob) (?)
  [137]
  $ ls m1/repos/demo/.hg/store/journal
  m1/repos/demo/.hg/store/journal
  $ same
  demo: at entry 16
  4 less draft  
  3 c6 draft  
  2 c5 draft  
  1 c2 public  
  0 c1 public  
  $ ls m1/repos/demo/.hg/store/journal
  ls: cannot access 'm1/repos/demo/.hg/store/journal': No such file or directory
  [2]

A repository that was changed behind the ledger's back takes no more pushes,
until it has been made anew

  $ echo more >> c/a
  $ hg -R c commit -m more
  $ hg -R p1/repos/demo phase --force --draft 0
  $ hg -R c push ssh://p1/demo -r tip
  pushing to ssh://p1/demo
  searching for changes
  remote: demo on p1 is not what entry 16 made it: it was changed behind the ledger's back (digest * (glob)
  remote: (let an administrator rebuild it: see "hg help replicate::rebuild")
  abort: push failed on remote
  [100]
  $ on p1 hg replicate::rebuild demo
  demo: rebuilt, at entry 16
  $ hg -R c push -q ssh://p1/demo -r tip
  $ same
  demo: at entry 17
  5 more draft  
  4 less draft  
  3 c6 draft  
  2 c5 draft  
  1 c2 public  
  0 c1 public  

Drafts that become public together with a new changeset above them

  $ on p1 hg replicate::create other --hgrc nonpublishing
  $ hg init o
  $ cd o
  $ echo 1 > a; hg commit -qAm o1
  $ hg push -q ssh://p1/other
  $ echo 2 > a; hg commit -qm o2
  $ hg phase --public tip
  $ hg push -q ssh://p1/other
  $ cd ..
  $ on m1 hg replicate::catchup other
  other: at entry 3
  $ on m1 hg log -R m1/repos/other -T '{desc} {phase}\n'
  o2 public
  o1 public
