Who pushed what is served as an Atom feed and as a page
=======================================================

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > pushlog =
  > [web]
  > encoding = utf-8
  > name = <tools>
  > EOF
  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > record = $TESTDIR/testlib/recordpushes.py
  > EOF
  $ hg clone -q server client
  $ cd client
  $ push() {
  >   PUSHUSER=$1 PUSHTIME=$2 hg push -q ../server
  > }
  $ echo a > 'a&b'
  $ hg commit -qAm 'one <script>' -d '0 0' -u 'ann <ann@example.com>'
  $ push '"><script>' 86400.5
  $ echo b > "$(printf '\1')"
  $ hg commit -qAm "$(printf 'two\nlines')" -d '0 0' 2> /dev/null
  $ echo c > c
  $ hg commit -qAm '' -d '0 0' --config ui.allowemptymessage=1 -m 'thr]]>ee'
  $ push bob 90000
  $ cd ..
  $ hg serve -R server -d -p $HGPORT --pid-file pid -A access -E errors
  $ cat pid >> $DAEMON_PIDS
  $ get() {
  >   "$PYTHON" "$TESTDIR/testlib/pages.py" "http://localhost:$HGPORT/$1" \
  >     | sed "s/:$HGPORT/:HGPORT/g"
  > }

  $ get pushlog | tee feed
  200 application/atom+xml; charset=utf-8
  <?xml version="1.0" encoding="utf-8"?>
  <feed xmlns="http://www.w3.org/2005/Atom">
   <id>http://localhost:HGPORT/pushlog</id>
   <link rel="self" href="http://localhost:HGPORT/pushlog"/>
   <link rel="alternate" href="http://localhost:HGPORT/pushloghtml"/>
   <title>&lt;tools&gt; Pushlog</title>
   <updated>1970-01-02T01:00:00Z</updated>
   <entry>
    <title>Changeset ebdbbb2b65f656030b06461699589355f9256127</title>
    <id>http://localhost:HGPORT/#changeset-ebdbbb2b65f656030b06461699589355f9256127</id>
    <link href="http://localhost:HGPORT/rev/ebdbbb2b65f656030b06461699589355f9256127"/>
    <updated>1970-01-02T01:00:00Z</updated>
    <author><name>bob</name></author>
    <content type="xhtml">
     <div xmlns="http://www.w3.org/1999/xhtml"><ul class="filelist"><li class="file">c</li></ul></div>
    </content>
   </entry>
   <entry>
    <title>Changeset c0dedadd78d3292b9e8365ae59cccf1db6efa5db</title>
    <id>http://localhost:HGPORT/#changeset-c0dedadd78d3292b9e8365ae59cccf1db6efa5db</id>
    <link href="http://localhost:HGPORT/rev/c0dedadd78d3292b9e8365ae59cccf1db6efa5db"/>
    <updated>1970-01-02T01:00:00Z</updated>
    <author><name>bob</name></author>
    <content type="xhtml">
     <div xmlns="http://www.w3.org/1999/xhtml"><ul class="filelist"><li class="file">\xef\xbf\xbd</li></ul></div> (esc)
    </content>
   </entry>
   <entry>
    <title>Changeset c769f9862f712ddd61ca686acb62f5405f4f2091</title>
    <id>http://localhost:HGPORT/#changeset-c769f9862f712ddd61ca686acb62f5405f4f2091</id>
    <link href="http://localhost:HGPORT/rev/c769f9862f712ddd61ca686acb62f5405f4f2091"/>
    <updated>1970-01-02T00:00:00Z</updated>
    <author><name>&quot;&gt;&lt;script&gt;</name></author>
    <content type="xhtml">
     <div xmlns="http://www.w3.org/1999/xhtml"><ul class="filelist"><li class="file">a&amp;b</li></ul></div>
    </content>
   </entry>
  </feed>
  $ sed 1d feed | "$PYTHON" -c 'if True:
  >   import sys
  >   from xml.etree import ElementTree
  >   tree = ElementTree.parse(sys.stdin)
  >   for name in tree.iter("{http://www.w3.org/2005/Atom}name"):
  >     print(name.text)'
  bob
  bob
  "><script>
  $ get 'atom-pushlog?tipsonly=1&endID=1' | grep -c '<entry>'
  1
  $ get 'pushlog?user=nobody'
  200 application/atom+xml; charset=utf-8
  <?xml version="1.0" encoding="utf-8"?>
  <feed xmlns="http://www.w3.org/2005/Atom">
   <id>http://localhost:HGPORT/pushlog</id>
   <link rel="self" href="http://localhost:HGPORT/pushlog"/>
   <link rel="alternate" href="http://localhost:HGPORT/pushloghtml"/>
   <title>&lt;tools&gt; Pushlog</title>
   <updated>1970-01-01T00:00:00Z</updated>
  </feed>
  $ get 'pushlog?startID=x'
  400 application/json
  {
   "error": "startID is 'x'; use a number"
  }

  $ get pushloghtml
  200 text/html; charset=utf-8
  <!DOCTYPE html>
  <html lang="en"><head><meta charset="utf-8">
  <title>&lt;tools&gt;: pushlog</title>
  <link rel="stylesheet" href="/static/style-paper.css">
  <link rel="alternate" type="application/atom+xml" title="Atom" href="/pushlog">
  </head><body>
  <h1><a href="/">&lt;tools&gt;</a>: pushlog</h1>
  <table class="bigtable">
  <tr><th>push</th><th>time</th><th>user</th><th>changeset</th><th>description</th></tr>
  <tr><td>2</td><td>1970-01-02T01:00:00Z</td><td>bob</td><td><a href="/rev/ebdbbb2b65f656030b06461699589355f9256127">ebdbbb2b65f6</a></td><td>thr]]&gt;ee</td></tr>
  <tr><td></td><td></td><td></td><td><a href="/rev/c0dedadd78d3292b9e8365ae59cccf1db6efa5db">c0dedadd78d3</a></td><td>two</td></tr>
  <tr><td>1</td><td>1970-01-02T00:00:00Z</td><td>&quot;&gt;&lt;script&gt;</td><td><a href="/rev/c769f9862f712ddd61ca686acb62f5405f4f2091">c769f9862f71</a></td><td>one &lt;script&gt;</td></tr>
  </table>
  <p></p>
  </body></html>
  $ cd client
  $ for i in $(seq 20); do
  >   echo $i >> c; hg commit -qm $i -d '0 0'; push carol 90000
  > done
  $ cd ..
  $ pages() {
  >   get "$1" | grep '<p>'
  > }
  $ pages pushloghtml
  <p><a href="/pushloghtml/2">older</a></p>
  $ pages 'pushloghtml/2?branch=default&%22%3E%3Cscript%3E'
  <p><a href="/pushloghtml/1?branch=default&amp;%22%3E%3Cscript%3E">newer</a> <a href="/pushloghtml/3?branch=default&amp;%22%3E%3Cscript%3E">older</a></p>
  $ pages pushloghtml/3
  <p><a href="/pushloghtml/2">newer</a></p>
  $ pages 'pushloghtml?startID=0'
  [1]
  $ get pushloghtml/2 | grep -c '<tr>'
  11
  $ cat errors
