"""What stands between a request and the API: latency, blocks, limits, the token, and faults.

A server's `Behaviour` is looked up anew for each request, so it may be replaced while serving.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING

from logminer.simulator.age import Age
from logminer.simulator.answer import HTML, Answer, as_json, as_text
from logminer.simulator.damage import LOOP, SILENT, instead, send_broken
from logminer.simulator.faults import FaultDice
from logminer.simulator.limits import Limit
from logminer.simulator.requests import check_kinds
from logminer.simulator.wire import send

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from logminer.simulator.behaviour import Behaviour
    from logminer.simulator.company import Company
    from logminer.simulator.faults import Hit
    from logminer.simulator.requests import Requests

_NAME = "throttle_authenticated_api"
_UNLIMITED = 1_000_000
_TOO_MANY = "This endpoint has been requested too many times. Try again later."


@dataclass(slots=True)
class _Appointment:
    """Something that happens before a request is answered."""

    kind: str
    left: int
    action: Callable[[], object]


class Gate:
    """Lets requests through to the API, or does not."""

    def __init__(
        self, company: Company, *, token: str, behaviour: Behaviour, requests: Requests
    ) -> None:
        """Guard this company's API with this token."""
        self._company = company
        self._token = token
        self._requests = requests
        self._dice = FaultDice()
        self._appointments: list[_Appointment] = []
        self._behaviour = behaviour
        self.age = Age.of(behaviour.version)
        """What the server knows."""
        self._begin_limits()

    @property
    def behaviour(self) -> Behaviour:
        """How the server behaves; a new one holds from the next request on."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        before, self._behaviour = self._behaviour, behaviour
        self.age = Age.of(behaviour.version)
        if _limits(before) != _limits(behaviour):
            self._begin_limits()

    def _begin_limits(self) -> None:
        general, lists, window = _limits(self._behaviour)
        self._general = Limit(general, time.monotonic, window)
        self._jobs_lists = Limit(lists, time.monotonic, window)

    def when(self, kind: str, count: int, action: Callable[[], object]) -> None:
        """Do something just before the `count`-th request of that kind from now is answered.

        The kind "" is any. ValueError if there is no such kind.
        """
        check_kinds({kind} - {""})
        self._appointments.append(_Appointment(kind, count, action))

    async def answer(
        self, request: web.Request, kind: str, handler: Callable[[], Awaitable[Answer]]
    ) -> web.StreamResponse:
        """Answer a request of that kind: by the handler, or in one of the ways above."""
        self._keep_appointments(kind)
        behaviour = self._behaviour
        if behaviour.seconds_per_request:
            self._company.live(behaviour.seconds_per_request)
        if behaviour.latency:
            await asyncio.sleep(behaviour.latency)
        if self._is_blocked():
            answer, hit, other = as_text("Forbidden\n", status=403), None, None
        else:
            answer = await self._true_answer(request, kind, handler)
            hit = self._dice.throw(behaviour.faults, kind, request.path_qs)
            other = self._instead(hit, request.path_qs) if hit else None
        answer = other or answer
        answer.headers["Date"] = self._date()
        silent = hit is not None and hit.fault in SILENT
        self._requests.note(kind, request.path_qs, 0 if silent else answer.status)
        if hit is not None:
            self._requests.faults[hit.fault] += 1
            if other is None:
                return await send_broken(request, answer, hit)
        return await send(request, answer, gzip=behaviour.gzip)

    def _keep_appointments(self, kind: str) -> None:
        for each in list(self._appointments):
            if each.kind in {"", kind}:
                each.left -= 1
                if not each.left:
                    self._appointments.remove(each)
                    each.action()

    def _is_blocked(self) -> bool:
        begin, length = self._behaviour.blocked_from, self._behaviour.blocked_for
        if begin is None or self._requests.total < begin:
            return False
        return length is None or self._requests.total < begin + length

    async def _true_answer(
        self, request: web.Request, kind: str, handler: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        if not self._general.take():
            return self._retry_later()
        if self._behaviour.revoked or not self._authentic(request):
            answer = as_json({"message": "401 Unauthorized"}, status=401)
        elif kind == "jobs" and self.age.limits_the_jobs_list and not self._jobs_lists.take():
            return self._too_many()
        elif request.path == LOOP:
            answer = as_text("", status=302, headers={"Location": LOOP})
        else:
            answer = await handler()
        if self.age.tells_limits_always and self._behaviour.limit_headers != "on_429":
            answer.headers.update(self._limit_headers())
        return answer

    def _instead(self, hit: Hit, path: str) -> Answer | None:
        if hit.fault == "throttled":
            return self._retry_later(hit.by.seconds)
        return instead(hit, path)

    def _authentic(self, request: web.Request) -> bool:
        given = request.headers.get("PRIVATE-TOKEN")
        if given is None:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given == self._token

    def _date(self) -> str:
        moment = self._company.now + dt.timedelta(seconds=self._behaviour.clock_skew)
        return format_datetime(moment, usegmt=True)

    # -- limits -----------------------------------------------------------------------------

    def _limit_headers(self) -> dict[str, str]:
        """Return the RateLimit headers; the limit is per minute, whatever the window."""
        limit, said = self._general, self._behaviour.limit_headers
        if said == "absent":
            return {}
        shown = limit.per_window or _UNLIMITED
        remaining = {"plenty": _UNLIMITED, "nothing_left": 0}.get(said, shown - limit.observed)
        reset = self._company.now_ms / 1000 + limit.resets_in
        return {
            "RateLimit-Limit": str(shown),
            "RateLimit-Name": _NAME,
            "RateLimit-Observed": str(limit.observed),
            "RateLimit-Remaining": str(max(0, remaining)),
            "RateLimit-Reset": str(int(reset) + 1),
        }

    def _retry_later(self, seconds: float | None = None) -> Answer:
        """Say 429, as GitLab's throttle does or as whoever stands before it."""
        wait = self._general.resets_in if seconds is None else seconds
        headers = self._retry_after(wait)
        match self._behaviour.throttle_body:
            case "html":  # by a proxy's own limit: GitLab's headers are not there
                page = b"<html><head><title>429</title></head><body>Rate limited</body></html>\n"
                return Answer(status=429, kind=HTML, body=page, headers=headers)
            case "json":
                answer = as_json({"message": {"error": _TOO_MANY}}, status=429, headers=headers)
            case "text":
                answer = as_text("Retry later\n", status=429, headers=headers)
        if self._behaviour.limit_headers != "absent":
            answer.headers.update(self._limit_headers())
            reset = self._company.now + dt.timedelta(seconds=int(wait) + 1)
            answer.headers["RateLimit-ResetTime"] = format_datetime(reset, usegmt=True)
        return answer

    def _too_many(self) -> Answer:
        headers = self._retry_after(self._behaviour.window - 1)
        return as_json({"message": {"error": _TOO_MANY}}, status=429, headers=headers)

    def _retry_after(self, seconds: float) -> dict[str, str]:
        whole = int(seconds) + 1
        match self._behaviour.retry_after:
            case "seconds":
                return {"Retry-After": str(whole)}
            case "date":
                moment = self._company.now + dt.timedelta(seconds=whole)
                return {"Retry-After": format_datetime(moment, usegmt=True)}
            case "absent":
                return {}


def _limits(behaviour: Behaviour) -> tuple[int | None, int | None, float]:
    return behaviour.requests_per_minute, behaviour.jobs_lists_per_minute, behaviour.window
