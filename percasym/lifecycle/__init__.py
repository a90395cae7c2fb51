"""The life of a home folder: what in it is garbage, whether it is well, how it is backed up and restored."""
