"""What `ilvf train`, `ilvf evaluate`, ... and the recipes run, one file a command."""
