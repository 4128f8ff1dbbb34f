"""The library under hgfleet's extensions; it imports nothing of Mercurial."""
