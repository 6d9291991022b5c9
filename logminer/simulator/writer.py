r"""The bytes around a message: how a gitlab-runner of a given version dresses what it prints.

Three things changed over the years and all of them move bytes:
the ANSI reset went before the newline (14.2), every line may carry a time and a stream (16.11,
the default from 18.7), and a section marker with time stamps is kept whole (19.1).
With time stamps every physical line ends in `\n`; a `+` says that the line before it, of the same
stream, was not finished: it had ended in `\r` or in a section marker.
"""

from __future__ import annotations

import datetime as dt

Version = tuple[int, int, int]

RESET = "\x1b[0;m"
_CLEAR = "\x1b[0K"
_RUNNER = "00O"
_RUNNER_ERRORS = "00E"
_SCRIPT = "01O"
_SCRIPT_ERRORS = "01E"
_SERVICES = "0fO"
_MICROS_BETWEEN_LINES = 1_137
_SECOND = 1_000_000


class Writer:
    """Collects a trace; the message methods are named after the runner's own logger calls."""

    def __init__(
        self, *, version: Version, timestamps: bool, start_ms: int, script_sections: bool = False
    ) -> None:
        """Begin a trace at `start_ms` (milliseconds since 1970, UTC).

        `script_sections` makes every command of the script a section of its own.
        """
        self._parts: list[str] = []
        self._size = 0
        self._reset_first = version >= (14, 2)
        self._timestamps = timestamps
        self._whole_markers = version >= (19, 1)
        self._padded_wrongly = version < (18, 4)
        self._second = start_ms // 1000
        self._micros = start_ms % 1000 * 1000
        self._prefix = ""
        self._unfinished: dict[str, str] = {}
        self._script_sections = script_sections
        self._commands = 0
        self._open_command = ""
        self._set_prefix()

    # -- messages of the runner -------------------------------------------------------------

    def println(self, text: str) -> None:
        """Write a line of the runner."""
        self._dressed(_RUNNER, _CLEAR, text)

    def infoln(self, text: str) -> None:
        """Write a green line of the runner."""
        self._dressed(_RUNNER, "\x1b[32;1m", text)

    def warningln(self, text: str) -> None:
        """Write a warning of the runner."""
        self._dressed(_RUNNER_ERRORS, "\x1b[0;33mWARNING: ", text)

    def errorln(self, text: str) -> None:
        """Write an error of the runner."""
        self._dressed(_RUNNER_ERRORS, "\x1b[31;1mERROR: ", text)

    def plain(self, text: str) -> None:
        """Write an undressed line of the runner (the Kubernetes executor waiting for its pod)."""
        self._write(_RUNNER_ERRORS, f"{text}\n")

    def raw(self, text: str) -> None:
        """Write text of the runner that no logger call dressed, newlines as given."""
        self._write(_RUNNER, text)

    def open_section(self, name: str, title: str) -> None:
        """Start a section and print its title."""
        self._write(_RUNNER, f"section_start:{self._second}:{name}\r{_CLEAR}")
        self.println(f"\x1b[36;1m{title}{RESET}")

    def close_section(self, name: str) -> None:
        """End a section; the marker has no newline, the next message follows it."""
        self._close_command()
        self._write(_RUNNER, f"section_end:{self._second}:{name}\r{_CLEAR}")

    # -- output of the job ------------------------------------------------------------------

    def echo(self, command: str) -> None:
        """Write a command of the script as the shell echoes it, variables unexpanded."""
        marker = ""
        if self._script_sections:
            self._close_command()
            self._commands += 1
            self._open_command = f"section_script_step_{self._commands}"
            marker = (
                f"section_start:{self._second}:{self._open_command}"
                f"[hide_duration=true,collapsed=true]\r{_CLEAR}"
            )
        self.work(f"{marker}\x1b[32;1m$ {command}{RESET}\n")

    def notice(self, text: str) -> None:
        """Write a green line of the runner's shell script (getting sources, caches)."""
        self.work(f"\x1b[32;1m{text}{RESET}\n")

    def work(self, text: str) -> None:
        """Write output of the job: one call is one write of the process."""
        self._write(_SCRIPT, text)

    def work_errors(self, text: str) -> None:
        """Write error output of the job."""
        self._write(_SCRIPT_ERRORS, text)

    def service_log(self, alias: str, text: str) -> None:
        """Write a line of a service's container, with Docker's own stamp of nine digits."""
        stamp = self.stamp.replace("Z", ".164250393Z")
        self._write(_SERVICES, f"\x1b[0;37m[service:{alias}-{alias}] {stamp} {text}{RESET}\n")

    def _close_command(self) -> None:
        if self._open_command:
            self.work(f"section_end:{self._second}:{self._open_command}\r{_CLEAR}")
            self._open_command = ""

    # -- time and result --------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Characters written so far: close to the bytes, and cheap."""
        return self._size

    @property
    def stamp(self) -> str:
        """The present moment as tools print it, to the second, UTC."""
        return self._prefix[:-1] + "Z"

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self._second += seconds
        self._set_prefix()

    def wait_until(self, ms: int) -> None:
        """Let time pass up to that moment (milliseconds since 1970, UTC), if it lies ahead."""
        if ms // 1000 > self._second:
            self._second = ms // 1000
            self._set_prefix()

    def finish(self) -> bytes:
        """Return the whole trace; lines nobody ended are flushed as the runner does at the end."""
        for stream, text in list(self._unfinished.items()):
            if self._timestamps and text:
                self._line(stream, "")
        return "".join(self._parts).encode()

    # -- framing ----------------------------------------------------------------------------

    def _dressed(self, stream: str, dress: str, text: str) -> None:
        if self._reset_first:
            self._write(stream, f"{dress}{text}{RESET}\n")
        else:
            self._write(stream, f"{dress}{text}\n{RESET}")

    def _write(self, stream: str, text: str) -> None:
        if not self._timestamps:
            self._parts.append(text)
            self._size += len(text)
            return
        *lines, rest = text.split("\n")
        for line in lines:
            self._line(stream, line)
        if not rest:
            return
        cut = rest.rfind("\r") + 1
        if not cut:
            self._unfinished[stream] = self._unfinished.get(stream, " ") + rest
            return
        if self._whole_markers:
            cut = len(rest)
        self._line(stream, rest[:cut])
        self._unfinished[stream] = "+" + rest[cut:]

    def _line(self, stream: str, text: str) -> None:
        """Write one physical line, after what its stream still holds back (a flag and a text)."""
        self._micros += _MICROS_BETWEEN_LINES
        if self._micros >= _SECOND:
            self._second += 1
            self._micros -= _SECOND
            self._set_prefix()
        micros = str(self._micros)
        # 16.11 to 18.3 padded the fraction on the wrong side
        micros = micros.ljust(6, "0") if self._padded_wrongly else micros.rjust(6, "0")
        before = self._unfinished.pop(stream, " ")
        line = f"{self._prefix}{micros}Z {stream}{before}{text}\n"
        self._parts.append(line)
        self._size += len(line)

    def _set_prefix(self) -> None:
        moment = dt.datetime.fromtimestamp(self._second, dt.UTC)
        self._prefix = moment.strftime("%Y-%m-%dT%H:%M:%S.")
