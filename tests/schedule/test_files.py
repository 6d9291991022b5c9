"""Every file of a schedule, read by what will read it, or by a schema of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from logminer.errors import UsageError
from logminer.harvest.metrics import METRICS
from logminer.schedule import Installation, Kind, files
from logminer.schedule.installation import CHANGE_ME

Witness = tuple[str, Callable[[], list[list[str]]]]
PLAIN = Installation(executable="/usr/bin/logminer", flags=("--group", "shop"))
BUCKET = replace(PLAIN, store="s3://bucket/prefix")
EVERY = [PLAIN, BUCKET, replace(PLAIN, store="/srv/logminer/store")]


def made(kind: Kind, installation: Installation) -> dict[str, str]:
    """Return the files of a kind, by name."""
    return {file.name: file.text for file in files(kind, installation)}


def tool(name: str) -> str:
    """Return a program; skip where it is not."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed here")
    return path


def expected(it: Installation, *, store: str, token: str | None, metrics: str) -> list[str]:
    """Return the arguments that a harvest is to be started with, in their order."""
    return [
        *("harvest", "--url", it.url),
        *(("--token-file", token) if token else ()),
        *("--store", store, *it.flags),
        *("--metrics-file", metrics),
    ]


def same(found: list[str], wanted: list[str]) -> bool:
    """Whether all that is wanted was given, once, and beside it only how the run talks."""
    rest = list(found)
    for word in wanted:
        rest.remove(word)
    return set(rest) <= {"--log-format", "plain", "json", "--quiet"}


# --- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("it", EVERY, ids=["default", "bucket", "elsewhere"])
def test_every_file_is_complete(kind: Kind, it: Installation) -> None:
    """Each kind has files, each begins with its name, ends with a line end, has no gap in it."""
    for name, text in made(kind, it).items():
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "{{" not in text or name.endswith(("alerts.yml", "dashboard.json"))
        assert "None" not in text
        if not name.endswith(".json"):
            assert name in "".join(text.splitlines(keepends=True)[:2])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("word", ["a\nExecStartPre=/bin/evil", "a\x1b[0K", "a\x00", "a\u2028b"])
def test_what_breaks_a_line_is_refused(kind: Kind, word: str) -> None:
    """No name can bring a line of its own."""
    with pytest.raises(UsageError, match="no schedule can carry"):
        files(kind, replace(PLAIN, flags=("--group", word)))


def test_what_is_not_known_says_so() -> None:
    """What nobody said stands there as CHANGE-ME; what somebody said does not."""
    unknown = Installation(executable="/usr/bin/logminer", flags=("--group", CHANGE_ME))
    known = replace(
        unknown, flags=("--group", "shop"), url="https://g.example.com", image="r.example.com/l:1"
    )

    assert set(unknown.unknown) == {"--url", "--image", "--group or --project"}
    assert known.unknown == {}
    for kind in set(Kind) - {Kind.GITLAB}:
        assert CHANGE_ME not in "".join(made(kind, known).values())


# --- systemd -----------------------------------------------------------------------------------


def words_of(line: str) -> list[str]:
    """Read `ExecStart=` as systemd.syntax(7) and systemd.service(5) say."""
    words = shlex.split(line)
    return [words[0].replace("%%", "%")] + [
        word.replace("%%", "\0").replace("$$", "$").replace("\0", "%") for word in words[1:]
    ]


def exec_start(unit: str) -> list[str]:
    """Return the words of the one command of a unit."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    return words_of(line)


def test_a_service_starts_the_harvest(hostile: Installation) -> None:
    """The command line is that of the harvest, whatever is in the names."""
    program, *arguments = exec_start(made(Kind.SYSTEMD, hostile)["night-2.service"])

    assert program == hostile.executable
    assert same(
        arguments,
        expected(
            hostile,
            store=hostile.store,
            token="%d/token",  # noqa: S106 -- a path
            metrics=hostile.metrics,
        ),
    )


def test_every_dollar_and_percent_is_doubled(hostile: Installation) -> None:
    """A variable or a specifier is what systemd would put in their place."""
    line = next(
        line
        for line in made(Kind.SYSTEMD, hostile)["night-2.service"].splitlines()
        if line.startswith("ExecStart=")
    )
    arguments = line.partition(" harvest ")[2].replace("%d/token", "")

    assert not re.search(r"(?<!\$)\$(\$\$)*(?!\$)", arguments)
    assert not re.search(r"(?<!%)%(%%)*(?!%)", arguments)


@pytest.mark.parametrize("it", EVERY, ids=["default", "bucket", "elsewhere"])
def test_systemd_takes_the_units(it: Installation, tmp_path: Path, witness: Witness) -> None:
    """`systemd-analyze verify` has nothing to say of them."""
    verify = tool("systemd-analyze")
    plain = Path(shutil.copy(witness[0], tmp_path / "logminer"))
    _verify(verify, made(Kind.SYSTEMD, replace(it, executable=str(plain))), tmp_path)


def test_systemd_takes_hostile_units(hostile: Installation, tmp_path: Path) -> None:
    """The same with the names of `HOSTILE`."""
    _verify(tool("systemd-analyze"), made(Kind.SYSTEMD, hostile), tmp_path)


def _verify(verify: str, units: dict[str, str], directory: Path) -> None:
    for name, text in units.items():
        (directory / name).write_text(text)
    end = subprocess.run(  # noqa: S603 -- systemd's own checker
        [verify, "verify", "--man=no", *(directory / name for name in units)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={"PATH": os.defpath, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    # What it says of other units of the machine is not ours.
    ours = [line for line in end.stderr.splitlines() if any(name in line for name in units)]
    assert ours == []
    assert end.returncode == 0, end.stderr


def test_a_timer_catches_up() -> None:
    """A machine that was off harvests when it is on again; each timer has its service."""
    units = made(Kind.SYSTEMD, PLAIN)

    assert sorted(units) == [
        *("logminer-health.service", "logminer-health.timer"),
        *("logminer.service", "logminer.timer"),
    ]
    for name in ("logminer.timer", "logminer-health.timer"):
        assert "\nPersistent=true\n" in units[name]
    assert "\nOnCalendar=*-*-* 02:17:00 UTC\n" in units["logminer.timer"]
    assert "\nSuccessExitStatus=75 130\n" in units["logminer.service"]
    assert "\nRestartPreventExitStatus=2 3 4\n" in units["logminer.service"]
    assert exec_start(units["logminer-health.service"])[1:] == [
        *("status", "--store", "/var/lib/logminer/store", "--max-age", "26h")
    ]


# --- cron --------------------------------------------------------------------------------------

CRON_LINE = re.compile(
    r"(?P<minute>\d+) (?P<hour>\d+) \* \* \* (?P<user>[a-z][-a-z0-9]*) "
    r"(?P<command>/\S+(?: --?\S+)*)"
)


def test_crontab() -> None:
    """Every line is a comment, a variable or five fields, a user and a command without `%`."""
    lines = made(Kind.CRON, replace(PLAIN, hour=23, minute=5))["logminer.cron"].splitlines()
    jobs = [
        match
        for line in lines
        if line and not line.startswith("#") and not re.fullmatch(r"[A-Z]+=\S+", line)
        for match in [CRON_LINE.fullmatch(line)]
    ]

    assert [match and (match["hour"], match["minute"]) for match in jobs] == [
        *(("23", "5"), ("3", "5"))
    ]
    assert all(match and "%" not in match["command"] for match in jobs)
    assert max(map(len, lines)) < 998


@pytest.mark.parametrize(
    ("code", "said"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (75, 0), (130, 130)]
)
def test_the_script_harvests(
    hostile: Installation, witness: Witness, tmp_path: Path, code: int, said: int
) -> None:
    """Run by a shell it starts the harvest as it is meant, and hands its exit code on, but 75."""
    script = tmp_path / "harvest.sh"
    (file,) = (each for each in files(Kind.CRON, hostile) if each.executable)
    script.write_text(file.text)
    end = subprocess.run(  # noqa: S603 -- a shell, and a script of ours
        ["/bin/sh", script], check=False, env={"WITNESS": str(code), "PATH": os.defpath}, timeout=60
    )

    assert end.returncode == said
    assert file.name == "night-2-harvest.sh"
    (arguments,) = witness[1]()
    assert same(
        arguments,
        expected(hostile, store=hostile.store, token=hostile.token_file, metrics=hostile.metrics),
    )


def test_the_script_checks(hostile: Installation, witness: Witness, tmp_path: Path) -> None:
    """With --health it asks how old the last success is, and hands that exit code on."""
    script = tmp_path / "harvest.sh"
    script.write_text(made(Kind.CRON, hostile)["night-2-harvest.sh"])
    end = subprocess.run(  # noqa: S603 -- as above
        ["/bin/sh", script, "--health"], check=False, env={"WITNESS": "3"}, timeout=60
    )

    assert end.returncode == 3
    assert witness[1]() == [["status", "--store", hostile.store, "--max-age", "26h"]]


# --- Kubernetes --------------------------------------------------------------------------------


def expanded(word: str) -> str:
    """Expand variables as Kubernetes does in `command` and `args`: here, none may be."""
    assert not re.search(r"(?<!\$)(\$\$)*\$\(", word), word
    return word.replace("$$", "$")


@pytest.mark.parametrize("it", EVERY, ids=["default", "bucket", "elsewhere"])
def test_manifests_are_valid(it: Installation) -> None:
    """Kubernetes' own schemas take them, and know every field; all of them in one stream."""
    text = "".join(made(Kind.KUBERNETES, it).values())
    documents = [each for each in yaml.safe_load_all(text) if each]
    for each in documents:
        kubernetes_validate.validate(each, "1.31", strict=True)

    kinds = [each["kind"] for each in documents]
    assert kinds == (["CronJob"] if it.in_bucket else ["CronJob", "PersistentVolumeClaim"])


def test_cronjob(hostile: Installation, witness: Witness) -> None:
    """One at a time, the token from a Secret, exit codes wired, the command as it is meant."""
    (job, _) = yaml.safe_load_all("".join(made(Kind.KUBERNETES, hostile).values()))
    spec = job["spec"]
    work = spec["jobTemplate"]["spec"]
    pod = work["template"]["spec"]
    (container,) = pod["containers"]

    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["schedule"] == "17 2 * * *"
    assert (work["backoffLimit"], pod["restartPolicy"]) == (2, "Never")
    assert work["podFailurePolicy"]["rules"][0] == {
        "action": "FailJob",
        "onExitCodes": {"containerName": container["name"], "operator": "In", "values": [2, 3, 4]},
    }
    assert container["env"] == [
        {
            "name": "GITLAB_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "night-2", "key": "token"}},
        }
    ]
    path = str(Path(witness[0]).parent)
    for code, said in ((0, 0), (1, 1), (3, 3), (75, 0)):
        command = [expanded(word) for word in (*container["command"], *container["args"])]
        end = subprocess.run(  # noqa: S603 -- a shell, and the witness
            command,
            check=False,
            env={"PATH": f"{path}:{os.defpath}", "WITNESS": str(code)},
            timeout=60,
        )
        assert end.returncode == said
    wanted = expected(hostile, store="/data/store", token=None, metrics=hostile.metrics)
    assert all(same(arguments, wanted) for arguments in witness[1]())


# --- GitLab ------------------------------------------------------------------------------------

PIPELINE = {
    # Of GitLab's CI/CD YAML reference: the keywords of a job that are used here, and no others.
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "required": ["script", "rules", "resource_group"],
        "additionalProperties": False,
        "properties": {
            "rules": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["if"],
                    "properties": {"if": {"const": '$CI_PIPELINE_SOURCE == "schedule"'}},
                    "additionalProperties": False,
                },
            },
            "resource_group": {"type": "string", "pattern": "^[a-z0-9-]+$"},
            "interruptible": {"type": "boolean"},
            "image": {"type": "string", "minLength": 1},
            "script": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "allow_failure": {
                "type": "object",
                "required": ["exit_codes"],
                "properties": {"exit_codes": {"type": "array", "items": {"type": "integer"}}},
                "additionalProperties": False,
            },
            "retry": {
                "type": "object",
                "properties": {
                    "max": {"type": "integer", "minimum": 0, "maximum": 2},
                    "exit_codes": {"type": "array", "items": {"type": "integer"}},
                },
                "additionalProperties": False,
            },
            "artifacts": {
                "type": "object",
                "properties": {
                    "when": {"enum": ["on_success", "on_failure", "always"]},
                    "expire_in": {"type": "string"},
                    "reports": {
                        "type": "object",
                        "properties": {"metrics": {"type": "string"}},
                        "additionalProperties": False,
                    },
                },
                "additionalProperties": False,
            },
        },
    },
}


@pytest.mark.parametrize("it", EVERY, ids=["default", "bucket", "elsewhere"])
def test_pipeline_is_valid(it: Installation) -> None:
    """One job, of keywords that GitLab has."""
    pipeline = yaml.safe_load(made(Kind.GITLAB, it)["logminer.gitlab-ci.yml"])

    jsonschema.validate(pipeline, PIPELINE)


def test_pipeline(hostile: Installation, witness: Witness, tmp_path: Path) -> None:
    """One at a time, exit codes wired, metrics as a report, and the script as it is meant."""
    pipeline = yaml.safe_load(made(Kind.GITLAB, hostile)["night-2.gitlab-ci.yml"])
    job = pipeline["night-2"]
    (line,) = job["script"]
    path = str(Path(witness[0]).parent)
    subprocess.run(  # noqa: S603 -- a shell, and the witness
        ["/bin/sh", "-c", line],
        check=True,
        cwd=tmp_path,
        env={"PATH": f"{path}:{os.defpath}"},
        timeout=60,
    )

    assert job["resource_group"] == "night-2"
    assert job["allow_failure"] == {"exit_codes": [3, 75]}
    assert job["artifacts"]["reports"] == {"metrics": "night-2.prom"}
    (arguments,) = witness[1]()
    assert same(
        arguments, expected(hostile, store=hostile.store, token=None, metrics="night-2.prom")
    )


# --- container, dashboard, alerts --------------------------------------------------------------


def test_containerfile() -> None:
    """Every line is an instruction or goes on with one; it runs as nobody in particular."""
    text = made(Kind.CONTAINER, PLAIN)["Containerfile"]
    whole = re.sub(r"\\\n", " ", text)
    instructions = [
        line.split(maxsplit=1)[0] for line in whole.splitlines() if line and line[0] != "#"
    ]

    assert instructions == [
        *("FROM", "ARG", "RUN", "USER", "VOLUME", "WORKDIR", "STOPSIGNAL", "ENTRYPOINT", "CMD")
    ]
    for name in ("ENTRYPOINT", "CMD"):
        (value,) = re.findall(rf"^{name} (.*)$", whole, re.MULTILINE)
        assert all(isinstance(word, str) for word in json.loads(value))
    assert "\nUSER 10001:10001\n" in text


def metrics_in(expression: str) -> set[str]:
    """Return the names of metrics in an expression."""
    return set(re.findall(r"\blogminer_[a-z_]+", expression))


def test_dashboard() -> None:
    """It is JSON, its panels do not overlap, and each asks for a metric that is written."""
    dashboard: dict[str, Any] = json.loads(made(Kind.GRAFANA, PLAIN)["logminer-dashboard.json"])
    places: set[tuple[int, int]] = set()
    asked: set[str] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & places
        assert max(x for x, _ in cells) < 24
        places |= cells
        for target in panel["targets"]:
            assert metrics_in(target["expr"])
            asked |= metrics_in(target["expr"])
    (variable,) = (each for each in dashboard["templating"]["list"] if each["type"] == "query")

    assert asked | metrics_in(variable["query"]) <= METRICS
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    # What nobody looks at need not be written.
    alerts = metrics_in("".join(made(Kind.ALERTS, PLAIN).values()))
    assert asked | metrics_in(variable["query"]) | alerts == METRICS


def test_alerts() -> None:
    """Each rule has an expression over metrics that are written, a severity and a summary."""
    rules = yaml.safe_load(made(Kind.ALERTS, PLAIN)["logminer-alerts.yml"])
    (group,) = rules["groups"]

    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 5
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert metrics_in(rule["expr"])
        assert metrics_in(rule["expr"]) <= METRICS
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


ALERTS_TEST = """
rule_files: [{rules}]
evaluation_interval: 1h
tests:
  - interval: 1h
    input_series:
      - series: logminer_last_success_timestamp_seconds{{source="old"}}
        values: 0x60
      - series: logminer_last_run_timestamp_seconds{{source="old"}}
        values: 0x60
      - series: logminer_last_success_timestamp_seconds{{source="new"}}
        values: 0+3600x60
      - series: logminer_last_run_timestamp_seconds{{source="new"}}
        values: 0+3600x60
      - series: logminer_last_run_exit_code{{source="new"}}
        values: 4x60
    alert_rule_test:
      - eval_time: 26h
        alertname: LogminerStale
        exp_alerts: []
      - eval_time: 30h
        alertname: LogminerStale
        exp_alerts:
          - exp_labels: {{source: old, severity: critical}}
            exp_annotations:
              summary: "old was last harvested completely 1d 6h 0m 0s ago"
              description: "Job logs are deleted in the end, and what was not read by then is lost. `logminer status` shows how the last runs ended."
      - eval_time: 30h
        alertname: LogminerMisconfigured
        exp_alerts:
          - exp_labels: {{source: new, severity: critical}}
            exp_annotations:
              summary: "The harvest of new ends with 4: its configuration (2) or its token (4) is wrong"
      - eval_time: 30h
        alertname: LogminerSilent
        exp_alerts: []
"""  # noqa: E501 -- the words of the rules


def test_prometheus_takes_the_alerts(tmp_path: Path) -> None:
    """`promtool` reads the rules, and they fire when they should and not before."""
    promtool = tool("promtool")
    rules = tmp_path / "rules.yml"
    rules.write_text(made(Kind.ALERTS, PLAIN)["logminer-alerts.yml"])
    test = tmp_path / "test.yml"
    test.write_text(ALERTS_TEST.format(rules=rules.name))
    for verb, file in (("check", rules), ("test", test)):
        end = subprocess.run(  # noqa: S603 -- Prometheus' own checker
            [promtool, verb, "rules", file], capture_output=True, check=False, text=True, timeout=60
        )
        assert end.returncode == 0, end.stdout + end.stderr
