"""Bytes of files in, declared images out: no I/O, no clock.

* `facts`: what is known of the project beside its files
* `tree`: a whole repository
"""

from logminer.inventory.facts import Facts, predefined
from logminer.inventory.tree import MAX_FILE_BYTES, read_file, read_tree, unread, wanted

__all__ = [
    "MAX_FILE_BYTES",
    "Facts",
    "predefined",
    "read_file",
    "read_tree",
    "unread",
    "wanted",
]
