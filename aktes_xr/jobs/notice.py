"""A word to the outside when a run has ended: one request to a webhook.

The webhook's address is a secret, because whoever has it can write there. A job's file names the
variable of the environment that holds it. It is never logged, and no redirect is followed. A
webhook that fails or is slow changes nothing about the run: that is said in the log, and no more.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from aktes_xr.errors import ConfigError
from aktes_xr.jobs.account import Account
from aktes_xr.jobs.config import Notify
from aktes_xr.version import __version__

logger = logging.getLogger(__name__)

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_MOST_TROUBLES: Final = 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever is sent elsewhere has not been reached."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def webhook_of(settings: Notify) -> str | None:
    """Return the address that a job's messages go to.

    Parameters
    ----------
    settings : Notify
        Of the job.

    Returns
    -------
    str or None
        A secret. None where no messages are wished for.

    Raises
    ------
    ConfigError
        The variable is not set, or holds no address that begins with https.
    """
    if settings.webhook_env is None:
        return None
    name = settings.webhook_env
    address = os.environ.get(name, "").strip()
    if not address:
        raise ConfigError(f"the environment has no {name}: set it to the webhook's address")
    try:
        parts = urlsplit(address)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        valid = safe and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"{name} holds no address of a webhook: expected https://...")
    return address


def notify(settings: Notify, account: Account, *, exit_code: int) -> None:
    """Tell a webhook how a run ended, if the job wishes it and within its deadline.

    Parameters
    ----------
    settings : Notify
        Of the job.
    account : Account
        Of the run.
    exit_code : int
        Of the run.
    """
    if settings.webhook_env is None or (settings.when == "trouble" and exit_code == 0):
        return
    try:
        address = webhook_of(settings)
    except ConfigError as error:
        logger.warning("no message was sent: %s", error)
        return
    body = json.dumps(message(account, exit_code=exit_code)).encode()
    request = urllib.request.Request(
        str(address),
        data=body,
        method="POST",
        headers={"Content-Type": "application/json", "User-Agent": f"aktes_xr/{__version__}"},
    )
    outcome: list[str] = []
    # A thread: an answer that drips a byte at a time never meets the deadline of a socket.
    sending = threading.Thread(
        target=lambda: outcome.append(_send(request, settings.deadline_s)),
        name="aktes-webhook",
        daemon=True,
    )
    sending.start()
    sending.join(settings.deadline_s)
    failed = outcome[0] if outcome else f"no answer within {settings.deadline_s:g} s"
    if failed:
        logger.warning("the webhook of %s was not told: %s", settings.webhook_env, failed)


def message(account: Account, *, exit_code: int) -> Mapping[str, Any]:
    """Return what a webhook is told.

    Parameters
    ----------
    account : Account
        Of the run.
    exit_code : int
        Of the run.

    Returns
    -------
    mapping
        Plain types. ``text`` is one line for people, as chat services show it.
    """
    done = ", ".join(f"{number} {state}" for state, number in account.outcomes.items())
    words = [done or "no date made", f"{account.remaining} left for the next run"]
    if account.failure:
        words.append(account.failure)
    troubles = account.troubles()
    return {
        "text": f"aktes run of {account.store} ended with {exit_code}: {'; '.join(words)}",
        "store": account.store,
        "exit_code": exit_code,
        "error": account.failure,
        "outcomes": account.outcomes,
        "remaining": account.remaining,
        "seconds": round(account.seconds, 1),
        "troubles": troubles[:_MOST_TROUBLES],
        "further_troubles": max(len(troubles) - _MOST_TROUBLES, 0),
    }


def _send(request: urllib.request.Request, deadline_s: float) -> str:
    """Send a request; return why it failed, without its address, or nothing."""
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=deadline_s):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return type(reason).__name__
