"""Bytes of files in, declared images out: no I/O, no clock.

* `facts`: what is known of the project beside its files
* `tree`: a whole repository, and which reader each file has
* `ci`, `ci_config`: GitLab CI configuration: its jobs, and how it is put together
* `dockerfile`, `compose`, `kubernetes`, `kustomize`, `helm`, `templates`: the other kinds
* `nodes`, `scalars`: YAML with lines, bounded; what programs make of unquoted values
* `variables`: who replaces what, by which rules
* `rows`: what every reader says in the same way
* `policy`: rules for declared images, and what breaks them
"""

from logminer.inventory.facts import Facts, predefined
from logminer.inventory.helm import CHART, read_rendered
from logminer.inventory.policy import Finding, Policy, parse_policy
from logminer.inventory.tree import MAX_FILE_BYTES, read_file, read_tree, unread, wanted

__all__ = [
    "CHART",
    "MAX_FILE_BYTES",
    "Facts",
    "Finding",
    "Policy",
    "parse_policy",
    "predefined",
    "read_file",
    "read_rendered",
    "read_tree",
    "unread",
    "wanted",
]
