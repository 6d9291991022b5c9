"""GitLab's API: which server, which projects, which jobs, and the bytes of their traces.

protocol    status, headers, JSON to values or errors; pure
encoding    compressed bodies to bounded pieces; pure
retry       when to try again; pure
pacing      when to ask next; pure, clock passed in
settings    flags, environment, configuration file to one value
client      asynchronous reads over httpx
discovery   scope to projects, through python-gitlab
"""

from logminer.gitlab.client import Client, Counts, JobsPage, Kind, Sink
from logminer.gitlab.discovery import Scope, default_scope, discover
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.protocol import Pipeline, SkippedJob
from logminer.gitlab.retry import RetryPolicy
from logminer.gitlab.settings import Settings, resolve

__all__ = [
    "Client",
    "Counts",
    "JobsPage",
    "Kind",
    "Pacer",
    "Pipeline",
    "RetryPolicy",
    "Scope",
    "Settings",
    "Sink",
    "SkippedJob",
    "default_scope",
    "discover",
    "resolve",
]
