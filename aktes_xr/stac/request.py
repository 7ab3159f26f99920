"""One HTTP request with its repetitions: deadlines, backoff, redirects and limits of size.

All that this package reads by HTTP comes through `fetch`: searches, items and pixels. Some failures
may pass, and these requests are repeated: a connection that fails, too many requests (429), a
server's own trouble (5xx). A refusal and a missing file are not repeated.
"""

from __future__ import annotations

import email.utils
import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
)

from aktes_xr.errors import NetworkError
from aktes_xr.stac import network
from aktes_xr.stac.links import HTTP, host_of, matches, redact
from aktes_xr.stac.network import NetworkSettings

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

_REDIRECTS: Final = 5
_PIECE_BYTES: Final = 2**16
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_LONGEST_BACKOFF_S: Final = 15.0

_sessions = threading.local()


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits that a request has to keep to.

    Attributes
    ----------
    settings : NetworkSettings
    allowed_hosts : the only hosts to ask or to be sent on to; None allows all
    headers : sent to ``login_hosts`` only, and never shown
    login_hosts : hosts that ``headers`` are for
    """

    settings: NetworkSettings = field(default_factory=NetworkSettings.from_environment)
    allowed_hosts: tuple[str, ...] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    login_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of status 200 or 206."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _PassingError(NetworkError):
    """A failure that may pass; ``dead`` where nobody answered at all."""

    def __init__(
        self, message: str, *, status: int | None = None, wait_s: float = 0.0, dead: bool = False
    ) -> None:
        super().__init__(message, status=status)
        self.wait_s = wait_s
        self.dead = dead


def fetch(
    url: str,
    rules: Rules,
    *,
    limit_bytes: int,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    json: Any = None,
) -> Reply:
    """Ask for a document or a range of bytes.

    Parameters
    ----------
    url : http or https link, signed if need be
    rules : Rules
    limit_bytes : a longer answer is refused
    method, headers, json : of the request

    Raises
    ------
    NetworkError
        No answer within the deadline, or one that is no success; the message shows no secret.
    """
    host, settings = host_of(url), rules.settings
    # A host that was down gets one attempt with a short deadline, not the full patience again.
    usual = network.admitted(host)
    deadline = time.monotonic() + (settings.deadline_s if usual else settings.connect_s)
    retrying = Retrying(
        stop=stop_before_delay(settings.deadline_s)
        | stop_after_attempt(settings.attempts if usual else 1),
        wait=_Backoff(settings.backoff_s),
        retry=retry_if_exception_type(_PassingError),
        reraise=True,
    )
    asked = _Asked(url, method, {**(headers or {})}, json, limit_bytes)
    try:
        reply = retrying(_follow, asked, rules, deadline)
    except _PassingError as error:
        # The repetitions are used up. The host is remembered, so that the next file does not wait
        # too.
        reason = f"{host}: {error}"
        if error.wait_s:
            reason += f" and asks to wait {error.wait_s:.0f} s, longer than the deadline"
        network.has_failed(host, reason, settings, dead=error.dead, wait_s=error.wait_s)
        raise NetworkError(reason, status=error.status) from None
    except NetworkError as error:
        # A refusal or a missing file is an answer: it says nothing against the host.
        network.has_answered(host)
        raise NetworkError(f"{host}: {error}", status=error.status) from None
    network.has_served(host)
    return reply


@dataclass(frozen=True, slots=True)
class _Asked:
    url: str
    method: str
    headers: dict[str, str]
    json: Any
    limit_bytes: int


class _Backoff:
    """Waits that double each time, with jitter. They are never shorter than the host asks for."""

    def __init__(self, first_s: float) -> None:
        self.first_s = first_s

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        doubled: float = self.first_s * 2.0 ** (state.attempt_number - 1)
        # Many tasks fail at the same moment. Jitter keeps them from all asking again at once.
        wait = min(doubled, _LONGEST_BACKOFF_S) * random.uniform(0.75, 1.25)
        return max(wait, error.wait_s) if isinstance(error, _PassingError) else wait


def _follow(asked: _Asked, rules: Rules, deadline: float) -> Reply:
    """Ask once, and follow redirects. Every address on the way has to keep to the rules."""
    url, method, json = asked.url, asked.method, asked.json
    for _ in range(_REDIRECTS + 1):
        scheme, mark, _rest = url.partition("://")
        if not mark or scheme.lower() not in HTTP:
            raise NetworkError(f"a redirect leads to {redact(url)!r}, which is not followed")
        if rules.allowed_hosts is not None and not matches(host_of(url), rules.allowed_hosts):
            raise NetworkError(
                f"a redirect leads to {host_of(url)}, which allowed_hosts= does not list"
            )
        # The login is added anew for each address, so a redirect cannot carry it to another host.
        headers = dict(asked.headers)
        if matches(host_of(url), rules.login_hosts):
            headers.update(rules.headers)
        found = _ask_once(_Asked(url, method, headers, json, asked.limit_bytes), rules, deadline)
        if isinstance(found, Reply):
            return found
        url = urljoin(url, found)
        # As browsers do: after a redirect, what was sent is not sent again.
        if method != "GET":
            method, json = "GET", None
    raise NetworkError(f"more than {_REDIRECTS} redirects")


def _ask_once(asked: _Asked, rules: Rules, deadline: float) -> Reply | str:
    """Return the answer, or where a redirect leads."""
    import requests

    settings = rules.settings
    # requests takes no timeout of zero.
    left = max(deadline - time.monotonic(), 0.05)
    session = _session()
    parts = urlsplit(asked.url)
    # Without auth=, requests sends what .netrc holds for the host. That is wanted for login_hosts
    # only, and only where neither the link nor the rules hold a login. `_Login` prevents it in all
    # other cases; it may be empty.
    own = parts.username is not None or not matches(host_of(asked.url), rules.login_hosts)
    auth = _Login(parts.username, parts.password) if own or rules.headers else None
    request = requests.Request(
        asked.method, asked.url, headers=asked.headers, json=asked.json, auth=auth
    )
    answered = False
    try:
        prepared = session.prepare_request(request)
        options = session.merge_environment_settings(asked.url, {}, True, None, None)
        with session.send(
            prepared,
            timeout=(min(settings.connect_s, left), min(settings.silence_s, left)),
            allow_redirects=False,
            **options,
        ) as response:
            answered = True
            return _answer(response, asked.limit_bytes, settings)
    except requests.RequestException as error:
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
            raise NetworkError(f"the link is no address ({type(error).__name__})") from None
        reason, silent = _cause(error)
        raise _PassingError(reason, dead=silent and not answered) from None


class _Login:
    """Basic authentication by a link's own user name, or none at all."""

    def __init__(self, user: str | None, password: str | None) -> None:
        self.pair = None if user is None else (unquote(user), unquote(password or ""))

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.pair is not None:
            import requests

            return requests.auth.HTTPBasicAuth(*self.pair)(request)
        return request


def _answer(
    response: requests.Response, limit_bytes: int, settings: NetworkSettings
) -> Reply | str:
    status = response.status_code
    if status in _MOVED:
        return str(response.headers.get("Location", ""))
    if status in _PASSING:
        wait = _seconds(response.headers.get("Retry-After"))
        raise _PassingError(f"HTTP {status}", status=status, wait_s=wait)
    if status not in (200, 206):
        raise NetworkError(f"HTTP {status}", status=status)
    pieces, size, start = [], 0, time.monotonic()
    # Read piece by piece. A stated length may be wrong, and silence_s alone would not notice a
    # server that sends a byte now and then.
    for piece in _pieces(response):
        pieces.append(piece)
        size += len(piece)
        if size > limit_bytes:
            raise NetworkError(f"the answer has more than {limit_bytes} bytes")
        passed = time.monotonic() - start
        if passed > settings.silence_s and size < passed * settings.slowest_bytes_per_s:
            raise _PassingError(f"slower than {settings.slowest_bytes_per_s:g} bytes per second")
    return Reply(status, response.headers, b"".join(pieces))


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield a body as it comes in; `requests` would wait until a piece is full."""
    import requests
    from urllib3.exceptions import HTTPError

    try:
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
            yield piece
    except HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error


def _session() -> requests.Session:
    """Return this thread's session. It keeps connections open, and threads do not share them."""
    import requests

    found: requests.Session | None = getattr(_sessions, "session", None)
    if found is None:
        # Imported with requests, late: most processes never ask for anything.
        from aktes_xr.stac.connection import PunctualAdapter

        found = _sessions.session = requests.Session()
        for scheme in HTTP:
            found.mount(f"{scheme}://", PunctualAdapter())
    return found


def _seconds(text: str | None) -> float:
    """Return how long ``Retry-After`` asks to wait, as seconds or until a date."""
    if not text:
        return 0.0
    if text.strip().isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(date.timestamp() - time.time(), 0.0)


def _cause(error: BaseException) -> tuple[str, bool]:
    """Say in a few words what went wrong, and whether nobody answered at all."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time", True
    if isinstance(error, requests.exceptions.ReadTimeout):
        return "no answer in time", True
    # requests wraps the error of urllib3, which wraps that of the socket. The innermost one says
    # what happened in the fewest words.
    bottom, refused = error, False
    while (below := bottom.__cause__ or bottom.__context__) is not None:
        bottom = below
        refused = refused or isinstance(bottom, NewConnectionError)
    return redact(str(bottom)[:200]) or type(bottom).__name__, refused
