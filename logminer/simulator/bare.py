"""What the executors without containers print while they prepare: a machine, never an image.

Some of them speak of images all the same, and mean those of virtual machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.dice import hex64
from logminer.simulator.docker import PreparationFailedError

if TYPE_CHECKING:
    from logminer.simulator.plan import Plan
    from logminer.simulator.writer import Writer


class BareNarrator:
    """Writes the runner's part of one job that runs on a machine itself."""

    def __init__(self, plan: Plan, writer: Writer) -> None:
        """Narrate this plan into this writer."""
        self._plan = plan
        self._writer = writer

    def prepare(self) -> None:
        """Write the content of `prepare_executor`; raises when the job cannot start."""
        {
            "shell": self._shell,
            "ssh": self._ssh,
            "instance": self._instance,
            "custom": self._custom,
            "virtualbox": self._virtualbox,
        }[self._plan.job.runner.executor]()
        if self._plan.job.mishap == "system":
            raise PreparationFailedError("disk quota exceeded", system=True)

    def begin_helper_section(self) -> None:
        """Write nothing: there is no helper."""

    def begin_script(self) -> None:
        """Write nothing: the machine is there from the start."""

    def _shell(self) -> None:
        shell = " (bash)" if self._plan.version >= (15, 9) else ""
        self._writer.println(f"Using Shell{shell} executor...")

    def _ssh(self) -> None:
        self._writer.println("Using SSH executor...")

    def _instance(self) -> None:
        name = f"i-{hex64('instance', self._plan.job.id)[:17]}"
        self._writer.println("Preparing instance...")
        self._writer.println(f"Dialing instance {name}...")
        self._writer.wait(2)
        self._writer.println(f"Instance {name} connected")

    def _custom(self) -> None:
        """Let the driver speak: its output is anybody's, but stands where the runner's does."""
        self._writer.println("Using Custom executor with driver sandbox 1.4.0...")
        self._writer.raw("Cloning the base image macos-14-xcode:15.4 for this job\n")
        self._writer.wait(4)
        self._writer.raw(f"Sandbox {hex64('sandbox', self._plan.job.id)[:12]} is up\n")

    def _virtualbox(self) -> None:
        self._writer.println("Using VirtualBox version 7.0.18r162988 executor...")
        if self._plan.version >= (14, 2):
            self._writer.warningln(
                'No allowed_images configuration found for "macos-14:latest", '
                'using image "macos-14-base"'
            )
        self._writer.println("Creating new VM...")
