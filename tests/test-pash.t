What sshd's forced command does for the people whom sshd has recognised.

The door stands for sshd: `door USER` takes a host and a command, as ssh does,
and runs the forced command as sshd would.

  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ pash=$("$bin/python" -c 'import fleetpash; print(fleetpash.__path__[0])')
  $ cat > door <<EOF
  > #!/bin/sh
  > export SSH_ORIGINAL_COMMAND="\$3" SSH_CLIENT='10.1.2.3 4567 22'
  > exec "$bin/python" -I -S "$pash/pash.py" --hg "$bin/hg" \
  >     --hgrc "$TESTTMP/primary.rc" "\$1"
  > EOF
  $ chmod +x door
  $ door() { "$TESTTMP/door" "$1" host "$2" < /dev/null; }
  $ as() { echo "--config=ui.ssh=$TESTTMP/door $1"; }

  $ cat > users.toml <<EOF
  > [users.ann]
  > groups = ["staff", "ops"]
  > [users."bob@example.org"]
  > [users.zoe]
  > groups = ["staff"]
  > enabled = false
  > EOF
  $ cat > primary.rc <<EOF
  > [extensions]
  > fleetpash =
  > fleetpash:required = yes
  > [fleet]
  > root = $TESTTMP/repos
  > directory = file://$TESTTMP/users.toml
  > ssh = ssh://hg@hg.example.org
  > [access]
  > secret/** = @ann:admin
  > ** = staff:write, *:read
  > [hooks]
  > pretxnclose.who = echo "user \$USER \$REMOTE_USER" >&2; env >> $TESTTMP/seen
  > EOF
  $ hg init repos/demo
  $ hg init repos/secret/plan
  $ hg init "repos/users/ann/a+b"

Asking for nothing is answered with a greeting.

  $ door ann ''
  Hello ann. This is a Mercurial server; there is no shell here.
  
    your groups:  ops, staff
    to clone:     hg clone ssh://hg@hg.example.org/REPOSITORY
    to push:      hg push (in your clone)
    for more:     ask for "help"
  
  What you may do, by the first of these that a repository's name matches:
  
    secret/**                      admin
    **                             write
  $ door bob@example.org help | head -n 3
  This server understands "hg clone", "hg pull" and "hg push", and, after
  "ssh hg@hg.example.org":
  

Nothing but Mercurial's own command is allowed, and nothing else is run.

  $ for each in 'id > ran' 'hg version' 'hg -R demo serve --stdio; id > ran' \
  >     'hg -R demo --config extensions.x=ran.py serve --stdio' \
  >     'hg -R demo serve --stdio --hidden' 'hg -R "demo" serve --stdio' \
  >     'hg -R --debugger serve --stdio' 'hg -R ../users.toml serve --stdio' \
  >     'hg -R $(id) serve --stdio' 'hg init new'; do
  >     door ann "$each"
  >     [ $? = 1 ] || echo "$each: exit code $?"
  > done
  hgfleet: this command is not allowed here
  (use "hg clone", "hg pull" and "hg push"; "help" tells what else there is)
  hgfleet: this command is not allowed here
  (use "hg clone", "hg pull" and "hg push"; "help" tells what else there is)
  hgfleet: this command is not allowed here
  (use "hg clone", "hg pull" and "hg push"; "help" tells what else there is)
  hgfleet: 'demo --config extensions.x=ran.py' is not a repository name
  (use letters, digits, * (glob)
  hgfleet: this command is not allowed here
  (use "hg clone", "hg pull" and "hg push"; "help" tells what else there is)
  hgfleet: '"demo"' is not a repository name
  (use letters, digits, * (glob)
  hgfleet: '--debugger' is not a repository name
  (use letters, digits, * (glob)
  hgfleet: '../users.toml' is not a repository name
  (use letters, digits, * (glob)
  hgfleet: '$(id)' is not a repository name
  (use letters, digits, * (glob)
  hgfleet: a repository cannot be created with "hg init"
  (use "clone NAME" over SSH; see "help")
  $ find . -name ran

Strangers and people who are locked out get no further.

  $ door eve ''
  hgfleet: eve is not known here
  (ask an administrator)
  [1]
  $ door zoe 'hg -R demo serve --stdio'
  hgfleet: zoe is locked out
  (ask an administrator)
  [1]
  $ door --config=ui.x=1 ''
  hgfleet: '--config=ui.x=1' is not a user name
  (use letters, digits, ".", "_", "-", "+" and "@")
  [1]

A session answers byte for byte what Mercurial does.

  $ ask() { printf 'hello\nbetween\npairs 81\n%040d-%040d' 0 0; }
  $ ask | "$TESTTMP/door" ann host 'hg -R demo serve --stdio' > one
  $ ask | HGPLAIN=1 hg -R repos/demo serve --stdio > two
  $ cmp one two && grep -c '^capabilities: ' one
  1

Cloning and pushing, by each way of writing a name.

  $ hg clone -q "$(as ann)" ssh://host/demo work
  $ cd work
  $ echo a > a
  $ hg commit -q -A -m a -u somebody
  $ hg push "$(as ann)"
  pushing to ssh://host/demo
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: user ann ann
  remote: added 1 changesets with 1 changes to 1 files
  $ cd ..
  $ for each in ssh://host/demo ssh://host/demo/ ssh://host//demo; do
  >     hg id "$(as bob@example.org)" $each
  > done
  8327d19df0ab
  8327d19df0ab
  8327d19df0ab
  $ hg id "$(as ann)" ssh://host/users/ann/a+b
  000000000000

Hooks see an environment that holds nothing of the client's, or of sshd's
account.

  $ sed 's/=.*//' seen | grep -v '^HG_\|^_$\|^PWD$\|^OLDPWD$\|^SHLVL$' | sort
  HG
  HGENCODING
  HGFLEET_COMMAND
  HGPLAIN
  HGRCPATH
  HOME
  LANG
  LOGNAME
  PATH
  REMOTE_USER
  SSH_CLIENT
  USER

Who may not read a repository cannot tell whether it exists.

  $ door bob@example.org 'hg -R secret/plan serve --stdio'
  hgfleet: repository secret/plan does not exist or you may not read it
  [1]
  $ door bob@example.org 'hg -R secret/none serve --stdio'
  hgfleet: repository secret/none does not exist or you may not read it
  [1]
  $ hg id "$(as bob@example.org)" ssh://host/secret/plan
  remote: hgfleet: repository secret/plan does not exist or you may not read it
  abort: no suitable response from remote hg
  [255]
  $ hg id "$(as ann)" ssh://host/secret/plan
  000000000000

A link is not a repository, wherever it leads.

  $ hg init outside
  $ ln -s ../outside repos/out
  $ ln -s secret/plan repos/in
  $ mkdir repos/half && ln -s ../secret/plan/.hg repos/half/.hg
  $ ln -s secret repos/open
  $ mkdir repos/empty && touch repos/file
  $ for each in out in half open/plan empty file demo/a; do
  >     door ann "hg -R $each serve --stdio"
  > done
  hgfleet: repository out does not exist or you may not read it
  hgfleet: repository in does not exist or you may not read it
  hgfleet: repository half does not exist or you may not read it
  hgfleet: repository open/plan does not exist or you may not read it
  hgfleet: repository empty does not exist or you may not read it
  hgfleet: repository file does not exist or you may not read it
  hgfleet: repository demo/a does not exist or you may not read it
  [1]

Who may read but not write can pull, and change nothing: changesets (by either
kind of bundle), bookmarks, phases or markers.

  $ cat >> "$HGRCPATH" <<EOF
  > [experimental]
  > evolution = all
  > [phases]
  > publish = False
  > EOF
  $ printf '[phases]\npublish = False\n[experimental]\nevolution = all\n' \
  >     >> primary.rc
  $ hg -R repos/demo phase --force --draft 0
  $ hg clone -q "$(as bob@example.org)" ssh://host/demo reader
  $ cd reader
  $ state() {
  >     hg -R ../repos/demo log -T '{node|short} {phase} {bookmarks}\n'
  >     hg -R ../repos/demo debugobsolete
  > }
  $ state > ../before
  $ echo b > b
  $ hg commit -q -A -m b -u somebody
  $ hg push "$(as bob@example.org)"
  pushing to ssh://host/demo
  searching for changes
  remote: hgfleet: bob@example.org may not write to demo
  remote: (ask an administrator of this fleet for write access)
  abort: remote error
  (check previous remote output)
  [100]
  $ try() {
  >     hg push "$(as bob@example.org)" "$@" 2>&1 | grep 'may not\|abort'
  > }
  $ try --config devel.legacy.exchange=bundle1
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ hg rollback -q --config ui.rollback=True
  $ hg bookmark mark -r 0
  $ try -B mark
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ try -B mark --config devel.legacy.exchange=bookmarks
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ hg phase --public 0
  $ try
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ try --config devel.legacy.exchange=phases
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ hg phase --force --draft 0
  $ hg debugobsolete 1111111111111111111111111111111111111111 \
  >     $(hg log -r 0 -T '{node}')
  1 new obsolescence markers
  $ try
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ try --config devel.legacy.exchange=obsmarkers
  remote: hgfleet: bob@example.org may not write to demo
  abort: remote error
  $ state | diff ../before -
  $ hg push -q "$(as ann)" -B mark
  [1]
  $ state
  8327d19df0ab draft mark
  1111111111111111111111111111111111111111 8327d19df0abb1a412dc8700e6b91209d3d9ef78 0 (*) {'user': 'test'} (glob)
  $ cd ..

The same when a client hides the writing in a batch, and the session goes on
with the next command.

  $ printf 'batch\n* 0\ncmds %d\n%s' 47 \
  >     'pushkey namespace=bookmarks,key=x,old=,new=1234' > asked
  $ printf 'heads\n' >> asked
  $ "$TESTTMP/door" bob@example.org host 'hg -R demo serve --stdio' < asked
  hgfleet: bob@example.org may not write to demo
  (ask an administrator of this fleet for write access)
  
  41
  8327d19df0abb1a412dc8700e6b91209d3d9ef78

Should Mercurial ever serve a command without asking, no transaction opens.

  $ cat > bolt.py <<EOF
  > from mercurial import registrar
  > from fleetpash import readonly
  > cmdtable = {}
  > @registrar.command(cmdtable)(b'bolt', [])
  > def bolt(ui, repo):
  >     readonly.enforce(repo, 'ann may not write to demo', lambda: None)
  >     with repo.lock():
  >         repo.transaction(b'serve')
  > EOF
  $ hg -R repos/demo --config extensions.bolt=bolt.py bolt
  error: pretxnopen.fleetpash hook failed: ann may not write to demo
  abort: ann may not write to demo
  (ask an administrator of this fleet for write access)
  [255]

A defect is kept for the administrator; the client gets no traceback.

  $ cat > defect.py <<EOF
  > from mercurial import extensions, wireprotov1server
  > def broken(*args, **options):
  >     raise RuntimeError('a defect')
  > def extsetup(ui):
  >     extensions.wrapfunction(wireprotov1server, 'dispatch', broken)
  > EOF
  $ cp primary.rc good.rc
  $ cat >> primary.rc <<EOF
  > [extensions]
  > defect = $TESTTMP/defect.py
  > [fleet]
  > state = $TESTTMP
  > EOF
  $ echo hello | "$TESTTMP/door" ann host 'hg -R demo serve --stdio'
  hgfleet: this server failed to answer
  (tell its administrator to look into errors.log at *) (glob)
  [70]
  $ tail -n 2 errors.log
  RuntimeError: a defect
  
  $ mv good.rc primary.rc

A client that hangs up in the middle of a push is no defect.

  $ cp primary.rc good2.rc
  $ printf '[fleet]\nstate = %s\n' "$TESTTMP" >> primary.rc
  $ printf 'unbundle\nheads 10\n666f726365' > asked
  $ "$TESTTMP/door" ann host 'hg -R demo serve --stdio' < asked
  0
  hgfleet: the connection ended in the middle of a request
  [75]
  $ grep -c Traceback errors.log
  1
  $ mv good2.rc primary.rc

What is missing or wrong on the server shuts the door.

  $ mv users.toml away.toml
  $ door ann 'hg -R demo serve --stdio'
  hgfleet: cannot read the file of users $TESTTMP/users.toml: No such file or directory
  (check [fleet] directory, and the owner and mode of that file)
  [75]
  $ echo nonsense > users.toml
  $ door ann 'hg -R demo serve --stdio' 2>&1 | sed 's/not TOML.*/not TOML/'
  hgfleet: $TESTTMP/users.toml: not TOML
  $ mv away.toml users.toml
  $ cp primary.rc good.rc
  $ printf '[access]\ndemo = staff\n' >> primary.rc
  $ door ann 'hg -R demo serve --stdio'
  hgfleet: [access] demo grants 'staff'
  (write group:verb, @user:verb or *:verb, where the verb is read, write, create, admin or act)
  [1]
  $ grep -v '^\*\* = ' good.rc > primary.rc
  $ door ann 'hg -R demo serve --stdio'
  hgfleet: repository demo does not exist or you may not read it
  [1]
  $ sed 's/^directory = .*/directory =/' good.rc > primary.rc
  $ door ann ''
  hgfleet: fleet.directory is not set on this server
  [1]
  $ rm primary.rc
  $ door ann ''
  hgfleet: cannot read $TESTTMP/primary.rc; tell the administrator of this server
  [1]
  $ "$bin/python" -I -S "$pash/pash.py" --hg "$TESTTMP/none" --hgrc good.rc ann
  hgfleet: cannot run $TESTTMP/none: No such file or directory
  [1]
  $ "$bin/python" -I -S "$pash/pash.py" ann
  hgfleet: usage: pash.py --hg FILE --hgrc FILE [--warm SOCKET] USER
  [1]
