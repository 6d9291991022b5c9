"""A GitLab on loopback with a company in it: for the demo, the tests and the benchmarks.

    company = Company.generate(seed=1, today=date(2026, 11, 23), days=365, projects=300, jobs=4000)
    with serve(company) as server:
        ... harvest server.url with server.token ...
    company.planted(job_id)      the truth about each trace

It knows how runners print from its own texts and imports neither the extractor nor the reference
parser: it is the independent witness both are tested against.
"""

from __future__ import annotations

from logminer.simulator.behaviour import Behaviour
from logminer.simulator.company import Company
from logminer.simulator.faults import STORM, Fault, Faults
from logminer.simulator.planted import Planted
from logminer.simulator.requests import Requests
from logminer.simulator.server import Server, create_app, serve
from logminer.simulator.truth import Expected

__all__ = [
    "STORM",
    "Behaviour",
    "Company",
    "Expected",
    "Fault",
    "Faults",
    "Planted",
    "Requests",
    "Server",
    "create_app",
    "serve",
]
