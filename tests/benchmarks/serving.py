"""A simulated GitLab for benchmarks, in a process of its own, and programs measured beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the simulator listens."""

    url: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a program that is to ask it."""
        return ENVIRONMENT | {"GITLAB_URL": self.url, "GITLAB_TOKEN": self.token}


@contextmanager
def simulator(*flags: object) -> Iterator[Serving]:
    """Run `python -m logminer.simulator` with these flags until the block ends."""
    command = [sys.executable, "-m", "logminer.simulator", "--port", "0", "--until-eof"]
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
        [*command, *map(str, flags)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as child:
        assert child.stdout is not None
        yield Serving(child.stdout.readline().strip(), child.stdout.readline().strip())
        child.terminate()


def measured(script: str, *arguments: object, serving: Serving) -> dict[str, Any]:
    """Run a script that prints one JSON object; return it."""
    done = subprocess.run(  # noqa: S603 -- our own interpreter, our own scripts
        [sys.executable, script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        check=True,
        env=serving.environment,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def harvest(store: Path, serving: Serving, *flags: object) -> subprocess.CompletedProcess[str]:
    """Run `logminer harvest --all` to its end."""
    command = [sys.executable, "-m", "logminer", "harvest", "--all", "--store", str(store)]
    return subprocess.run(  # noqa: S603 -- our own interpreter, our own module
        [*command, *map(str, flags)],
        stderr=subprocess.PIPE,
        check=False,
        text=True,
        env=serving.environment,
    )
