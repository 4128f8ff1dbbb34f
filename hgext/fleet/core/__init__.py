"""The pure part of hgfleet: decisions without I/O, clock or Mercurial."""
