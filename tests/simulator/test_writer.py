"""The framing of every era, against bytes written out by hand."""

from __future__ import annotations

import pytest

from logminer.simulator.writer import Version, Writer

_START = 1_768_988_825_094  # 2026-01-21T09:47:05.094Z


def _writer(version: Version, *, timestamps: bool = False) -> Writer:
    return Writer(version=version, timestamps=timestamps, start_ms=_START)


def test_reset_before_newline() -> None:
    """From 14.2 the ANSI reset stands before the newline."""
    writer = _writer((14, 2, 0))
    writer.println("a ...")
    writer.infoln("b")
    writer.warningln("c")
    writer.errorln("d")

    assert writer.finish() == (
        b"\x1b[0Ka ...\x1b[0;m\n"
        b"\x1b[32;1mb\x1b[0;m\n"
        b"\x1b[0;33mWARNING: c\x1b[0;m\n"
        b"\x1b[31;1mERROR: d\x1b[0;m\n"
    )


def test_reset_after_newline() -> None:
    """Before 14.2 every line but the first begins with the reset of the line before."""
    writer = _writer((14, 1, 0))
    writer.println("a ...")
    writer.infoln("b")

    assert writer.finish() == b"\x1b[0Ka ...\n\x1b[0;m\x1b[32;1mb\n\x1b[0;m"


def test_section_without_timestamps() -> None:
    """Markers have no newline: the end of one section and the start of the next share a line."""
    writer = _writer((18, 6, 0))
    writer.open_section("prepare_executor", 'Preparing the "docker" executor')
    writer.wait(3)
    writer.close_section("prepare_executor")
    writer.open_section("prepare_script", "Preparing environment")

    assert writer.finish() == (
        b"section_start:1768988825:prepare_executor\r\x1b[0K"
        b'\x1b[0K\x1b[36;1mPreparing the "docker" executor\x1b[0;m\x1b[0;m\n'
        b"section_end:1768988828:prepare_executor\r\x1b[0K"
        b"section_start:1768988828:prepare_script\r\x1b[0K"
        b"\x1b[0K\x1b[36;1mPreparing environment\x1b[0;m\x1b[0;m\n"
    )


def _with_timestamps(version: Version) -> bytes:
    writer = _writer(version, timestamps=True)
    writer.println("Running with gitlab-runner")
    writer.open_section("prepare_executor", "Preparing")
    writer.close_section("prepare_executor")
    writer.open_section("prepare_script", "Environment")
    writer.warningln("w")
    writer.work("Running on x via y...\n")
    writer.work("10%\r")
    writer.work("100%\r\n")
    writer.work("partial")
    return writer.finish()


def test_timestamps_before_19_1() -> None:
    r"""From 16.11 a write without a newline is split after its last `\r`; `+` continues it."""
    assert _with_timestamps((18, 7, 0)) == (
        b"2026-01-21T09:47:05.095137Z 00O \x1b[0KRunning with gitlab-runner\x1b[0;m\n"
        b"2026-01-21T09:47:05.096274Z 00O section_start:1768988825:prepare_executor\r\n"
        b"2026-01-21T09:47:05.097411Z 00O+\x1b[0K\x1b[0K\x1b[36;1mPreparing\x1b[0;m\x1b[0;m\n"
        b"2026-01-21T09:47:05.098548Z 00O section_end:1768988825:prepare_executor\r\n"
        b"2026-01-21T09:47:05.099685Z 00O+\x1b[0Ksection_start:1768988825:prepare_script\r\n"
        b"2026-01-21T09:47:05.100822Z 00O+\x1b[0K\x1b[0K\x1b[36;1mEnvironment\x1b[0;m\x1b[0;m\n"
        b"2026-01-21T09:47:05.101959Z 00E \x1b[0;33mWARNING: w\x1b[0;m\n"
        b"2026-01-21T09:47:05.103096Z 01O Running on x via y...\n"
        b"2026-01-21T09:47:05.104233Z 01O 10%\r\n"
        b"2026-01-21T09:47:05.105370Z 01O+100%\r\n"
        b"2026-01-21T09:47:05.106507Z 01O partial\n"
    )


def test_timestamps_from_19_1() -> None:
    """From 19.1 a section marker is kept whole."""
    assert _with_timestamps((19, 1, 0)) == (
        b"2026-01-21T09:47:05.095137Z 00O \x1b[0KRunning with gitlab-runner\x1b[0;m\n"
        b"2026-01-21T09:47:05.096274Z 00O section_start:1768988825:prepare_executor\r\x1b[0K\n"
        b"2026-01-21T09:47:05.097411Z 00O+\x1b[0K\x1b[36;1mPreparing\x1b[0;m\x1b[0;m\n"
        b"2026-01-21T09:47:05.098548Z 00O section_end:1768988825:prepare_executor\r\x1b[0K\n"
        b"2026-01-21T09:47:05.099685Z 00O+section_start:1768988825:prepare_script\r\x1b[0K\n"
        b"2026-01-21T09:47:05.100822Z 00O+\x1b[0K\x1b[36;1mEnvironment\x1b[0;m\x1b[0;m\n"
        b"2026-01-21T09:47:05.101959Z 00E \x1b[0;33mWARNING: w\x1b[0;m\n"
        b"2026-01-21T09:47:05.103096Z 01O Running on x via y...\n"
        b"2026-01-21T09:47:05.104233Z 01O 10%\r\n"
        b"2026-01-21T09:47:05.105370Z 01O+100%\r\n"
        b"2026-01-21T09:47:05.106507Z 01O partial\n"
    )


@pytest.mark.parametrize(
    ("version", "fraction"), [((18, 3, 0), b".631370Z"), ((18, 4, 0), b".063137Z")]
)
def test_fraction_padding(version: Version, fraction: bytes) -> None:
    """Up to 18.3 the fraction of a second is padded with zeros on the wrong side."""
    writer = Writer(version=version, timestamps=True, start_ms=_START - 32)
    writer.println("x")

    assert writer.finish() == b"2026-01-21T09:47:05" + fraction + b" 00O \x1b[0Kx\x1b[0;m\n"


def test_seconds_carry_over() -> None:
    """A line after the last microsecond of a second belongs to the next second."""
    writer = Writer(version=(19, 0, 0), timestamps=True, start_ms=_START - 94 + 999)
    writer.println("x")

    assert writer.finish().startswith(b"2026-01-21T09:47:06.000137Z 00O ")


def test_script_sections() -> None:
    """With FF_SCRIPT_SECTIONS every command is a section, closed by the next one or by the step."""
    writer = Writer(version=(18, 6, 0), timestamps=False, start_ms=_START, script_sections=True)
    writer.echo("make")
    writer.echo("make install")
    writer.close_section("step_script")

    options = b"[hide_duration=true,collapsed=true]\r\x1b[0K\x1b[32;1m$ "
    assert writer.finish() == (
        b"section_start:1768988825:section_script_step_1" + options + b"make\x1b[0;m\n"
        b"section_end:1768988825:section_script_step_1\r\x1b[0K"
        b"section_start:1768988825:section_script_step_2" + options + b"make install\x1b[0;m\n"
        b"section_end:1768988825:section_script_step_2\r\x1b[0K"
        b"section_end:1768988825:step_script\r\x1b[0K"
    )


def test_service_log() -> None:
    """Lines of a service's container have a stream and a stamp of their own."""
    writer = _writer((19, 1, 0), timestamps=True)
    writer.service_log("redis", "ready")

    assert writer.finish() == (
        b"2026-01-21T09:47:05.095137Z 0fO \x1b[0;37m[service:redis-redis] "
        b"2026-01-21T09:47:05.164250393Z ready\x1b[0;m\n"
    )
