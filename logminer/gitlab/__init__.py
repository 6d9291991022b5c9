"""GitLab's API: which server, which projects, which jobs, and the bytes of their traces.

protocol    status, headers, JSON to values or errors; pure
joblist     a list of jobs, read by its types; pure
encoding    compressed bodies to bounded pieces; pure
paging      where the next page of jobs begins; pure
traces      how much of a trace is taken in, and whether it came whole; pure
retry       when to try again; pure
pacing      when to ask next; pure, clock passed in
patience    how long is waited for an answer
budget      how much may be asked at all; pure, clock passed in
settings    flags, environment, configuration file to one value
wire        one request and its answer, over aiohttp
client      the reads of a harvest
repositories  the reads of an inventory
guard       what stands between python-gitlab and the wire
discovery   scope to projects, through python-gitlab
"""

from logminer.gitlab.budget import Budget
from logminer.gitlab.client import Client, JobsPage
from logminer.gitlab.discovery import Scope, default_scope, discover, path_filter
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.protocol import Lint, Pipeline, RateLimit, SkippedJob
from logminer.gitlab.repositories import RepositoryClient, Tip
from logminer.gitlab.retry import RetryPolicy
from logminer.gitlab.settings import Settings, instance_of, named_url, resolve
from logminer.gitlab.traces import Sink, TraceRead
from logminer.gitlab.wire import Counts, Kind

__all__ = [
    "Budget",
    "Client",
    "Counts",
    "JobsPage",
    "Kind",
    "Lint",
    "Pacer",
    "Pipeline",
    "RateLimit",
    "RepositoryClient",
    "RetryPolicy",
    "Scope",
    "Settings",
    "Sink",
    "SkippedJob",
    "Tip",
    "TraceRead",
    "default_scope",
    "discover",
    "instance_of",
    "named_url",
    "path_filter",
    "resolve",
]
