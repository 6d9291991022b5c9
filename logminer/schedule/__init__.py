"""Files that let a harvest run every night: units, crontabs, manifests, pipelines, dashboards.

installation  what is known of this one, and what is still to be filled in
quoting       words for systemd, a shell, YAML and Kubernetes
files         the files of each kind, from `templates/`
dashboard     the Grafana dashboard

Nothing here reads a token, and no file has a place for one: each kind of scheduler has its own
store for secrets, and the files name where the token lies there.
"""

from logminer.schedule.files import File, Kind, files
from logminer.schedule.installation import Installation

__all__ = ["File", "Installation", "Kind", "files"]
