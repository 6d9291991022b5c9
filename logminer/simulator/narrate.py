"""A job's whole trace: the runner's frame of sections around preparation, script and end.

One pass gives the bytes and the truth, so they cannot drift apart.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from logminer.simulator.bare import BareNarrator
from logminer.simulator.bulk import Bulk
from logminer.simulator.dice import chance, dice, hex64
from logminer.simulator.docker import DockerNarrator, PreparationFailedError
from logminer.simulator.fleet import revision
from logminer.simulator.kubernetes import KubernetesNarrator
from logminer.simulator.noise import fill, reprint
from logminer.simulator.planted import Planted, Truth
from logminer.simulator.scripts import ScriptFailedError, ScriptNarrator
from logminer.simulator.writer import RESET, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.simulator.life import Job
    from logminer.simulator.plan import Plan
    from logminer.simulator.writer import Version

FIRST_COMMAND = "./ci/begin.sh"
_SPREAD = 1.1
"""Of the sizes of logs around their median (the deviation of the logarithm)."""
_LARGEST = 40
"""In medians: the tail is cut here."""


def narrate(plan: Plan, median: int) -> tuple[bytes, tuple[Planted, ...]]:
    """Return the trace of a job that started, and the image uses it shows.

    `median` is the median size in bytes of the traces of jobs that reach their script.
    """
    narrator = _Narrator(plan, median)
    narrator.tell()
    text = narrator.writer.finish()
    if narrator.limit is not None and len(text) > narrator.limit:
        text = _cut(text, narrator.limit, plan.version)
    return text, narrator.truth.rows(plan.job.id)


def _cut(text: bytes, limit: int, version: Version) -> bytes:
    """Return what a runner with this output limit (bytes) lets through, and its notice."""
    shown = text[:limit].decode(errors="ignore").encode()  # never in the middle of a character
    if version >= (13, 10):
        return shown + (
            b"\n\x1b[33;1mJob's log exceeded limit of %d bytes.\n"
            b"Job execution will continue but no more output will be collected.\x1b[0;m\n" % limit
        )
    return shown + b"\n\x1b[31;1mJob's log exceeded limit of %d bytes.\x1b[0;m\n" % limit


_BLOCK = 2**16
"""Bytes of the block of which a very large log is made."""


def enlarged(text: bytes, job: Job, size: int) -> Bulk:
    """Return a finished log whose script has printed as much as makes `size` bytes of it.

    ValueError if the script never began, or if the log is that large already.
    """
    _, echo, after = text.partition(FIRST_COMMAND.encode())
    if not echo:
        raise ValueError(f"the script of job {job.id} never began: its log has no room")
    rest = after.partition(b"\n")[2]
    head = text[: len(text) - len(rest)]
    writer = Writer(
        version=job.version,
        timestamps=job.runner.timestamps(job.version),
        start_ms=job.created if job.started is None else job.started,
    )
    fill(writer, dice("bulk", job.id), "plain", _BLOCK)
    end = b"\n" + rest  # the last block may be cut in the middle of a line
    return Bulk(head=head, block=writer.finish(), tail=end, size=size)


class _Narrator:
    def __init__(self, plan: Plan, median: int) -> None:
        job = plan.job
        self._plan = plan
        self._version = plan.version
        self._size = int(median * min(_LARGEST, plan.rng.lognormvariate(0, _SPREAD)))
        self.limit: int | None = None
        """Bytes after which the runner stops to write, where it has a small limit."""
        self.truth = Truth()
        self.writer = Writer(
            version=plan.version,
            timestamps=plan.timestamps,
            start_ms=job.created if job.started is None else job.started,
            script_sections="FF_SCRIPT_SECTIONS" in job.runner.feature_flags(plan.version),
        )
        self._executor: DockerNarrator | KubernetesNarrator | BareNarrator
        if job.runner.is_kubernetes:
            self._executor = KubernetesNarrator(plan, self.writer, self.truth)
        elif job.runner.is_bare:
            self._executor = BareNarrator(plan, self.writer)
        else:
            self._executor = DockerNarrator(plan, self.writer, self.truth)

    def tell(self) -> None:
        writer = self.writer
        self._introduce()
        try:
            self._prepare()
            with self._section("get_sources", "Getting source from Git repository"):
                self._get_sources()
            self._helper_sections_before()
            end = self._script()
        except PreparationFailedError as problem:
            system = " (system failure)" if problem.system else ""
            writer.errorln(f"Job failed{system}: {problem}")
            return
        if end is None and chance(self._plan.rng, 0.3):
            with self._section("archive_cache", "Saving cache for successful job"):
                writer.notice("Creating cache main-4-protected...")
                writer.work("node_modules/: found 1044 matching artifact files and directories \n")
                writer.notice("Created cache")
        if self._version >= (13, 5):
            title = "Cleaning up project directory and file based variables"
            if self._version < (14, 8):
                title = "Cleaning up file based variables"
            with self._section("cleanup_file_variables", title):
                pass
        if end is None:
            writer.infoln("Job succeeded")
        else:
            writer.errorln(f"Job failed: {end}")

    @contextmanager
    def _section(self, name: str, title: str) -> Iterator[None]:
        """Frame what is written inside; a section that breaks off is ended all the same."""
        self.writer.open_section(name, title)
        try:
            yield
        finally:
            if self._plan.job.runner.is_kubernetes and name != "prepare_executor":
                self.writer.work("\n")  # the attach strategy leaves an empty line
            self.writer.close_section(name)

    # -- before the script ------------------------------------------------------------------

    def _introduce(self) -> None:
        runner, version, writer = self._plan.job.runner, self._version, self.writer
        number = ".".join(map(str, version))
        writer.println(f"Running with gitlab-runner {number} ({revision(version)})")
        system = f", system ID: {runner.system_id}" if version >= (15, 8) else ""
        writer.println(f"  on {runner.description} {runner.token}{system}")
        flags = [f"{flag}:true" for flag in runner.feature_flags(version)]
        if flags:
            writer.println(f"  feature flags: {', '.join(flags)}")
        if (13, 4) <= version < (18, 0) and runner.id % 2:
            with self._section("resolve_secrets", "Resolving secrets"):
                pass

    def _prepare(self) -> None:
        job, writer = self._plan.job, self.writer
        title = f'Preparing the "{job.runner.executor}" executor'
        with self._section("prepare_executor", title):
            self._executor.prepare()
        with self._section("prepare_script", "Preparing environment"):
            self._executor.begin_helper_section()
            if isinstance(self._executor, KubernetesNarrator):
                name, host = self._executor.pod, job.runner.description
            else:
                name = f"runner-{job.runner.token.lower()}-project-{job.project.id}-concurrent-0"
                host = hex64("host", job.runner.id)[:12]
            if job.runner.is_bare:
                writer.work(f"Running on {job.runner.description}...\n")
            else:
                writer.work(f"Running on {name} via {host}...\n")
        self.truth.ran()

    def _get_sources(self) -> None:
        job, writer = self._plan.job, self.writer
        if not job.runner.is_kubernetes:
            self._helper_again()
        if self._version >= (18, 0):
            writer.work(f"Gitaly correlation ID: {hex64('gitaly', job.id)[:26].upper()}\n")
        writer.notice("Fetching changes with git depth set to 20...")
        writer.work(f"Initialized empty Git repository in /builds/{job.project.path}/.git/\n")
        writer.notice("Created fresh repository.")
        commit = job.pipeline.sha[:8]
        where = f"detached HEAD (ref is {job.pipeline.ref})"
        if self._version < (15, 10):
            where = job.pipeline.ref
        writer.notice(f"Checking out {commit} as {where}...")
        writer.work("\n")
        writer.notice("Skipping Git submodules setup")
        writer.wait(2)

    def _helper_again(self) -> None:
        """Name an overridden helper again: every helper container of 15.11 and later does."""
        if self._plan.default_helper is not None:
            self._executor.begin_helper_section()

    def _helper_sections_before(self) -> None:
        job, writer = self._plan.job, self.writer
        if job.id % 3 == 0:
            with self._section("restore_cache", "Restoring cache"):
                writer.notice("Checking cache for main-4-protected...")
                writer.work(
                    "No URL provided, cache will not be downloaded from shared cache "
                    "server. Instead a local version of cache will be extracted. \n"
                )
                writer.notice("Successfully extracted cache")
        if job.template.stage in {"package", "deploy"}:
            with self._section("download_artifacts", "Downloading artifacts"):
                writer.notice(f"Downloading artifacts for bundle ({job.id - 3})...")
                writer.work_errors(
                    f"Downloading artifacts from coordinator... ok      {RESET}  "
                    f"host{RESET}=gitlab.example.com id{RESET}={job.id - 3} "
                    f"responseStatus{RESET}=200 OK token{RESET}=glcbt-64\n"
                )

    # -- the script -------------------------------------------------------------------------

    def _script(self) -> str | None:
        """Write the script's section; return why the job failed, None if it did not."""
        job, writer, rng = self._plan.job, self.writer, self._plan.rng
        name = "step_script" if self._version >= (13, 1) else "build_script"
        with self._section(name, f'Executing "{name}" stage of the job script'):
            self._executor.begin_script()
            writer.echo(FIRST_COMMAND)
            if chance(rng, 0.02):
                reprint(writer)
            steps = bool(job.template.steps)
            if not steps and chance(rng, 0.02):  # every image use stands above this point
                self.limit = writer.size + rng.randint(2_000, 6_000)
            share = rng.uniform(0.2, 0.8) if steps else 1.0
            goal = max(0, self._size - writer.size)
            fill(writer, rng, job.template.theme, int(goal * share))
            try:
                ScriptNarrator(self._plan, writer, self.truth).run()
            except ScriptFailedError:
                return self._exit_code(1)
            self._let_time_pass(5)
            writer.echo("make check # collapsed multi-line command")
            if steps:
                fill(writer, rng, job.template.theme, int(goal * (1 - share)))
            self._let_time_pass(2)
            if job.mishap == "canceled":
                writer.warningln("script canceled externally (UI, API)")
                return "canceled"
            if job.mishap == "timeout":
                return "execution took longer than 1h0m0s seconds"
            if job.mishap == "script":
                writer.work_errors("make: *** [Makefile:12: check] Error 2\n")
                return self._exit_code(2)
        return None

    def _let_time_pass(self, left: int) -> None:
        """Let the script take its time, up to `left` seconds before the end of the job."""
        finished = self._plan.job.finished
        if finished is not None:
            self.writer.wait_until(finished - left * 1000)

    def _exit_code(self, code: int) -> str:
        if self._plan.job.runner.is_kubernetes:
            return f"command terminated with exit code {code}"
        return f"exit code {code}"
