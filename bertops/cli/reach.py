"""One question to a server: does it answer, what, and what time does it have?"""

import base64
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Answer:
    """What a server said to one question."""

    code: int | None
    """None: it did not answer."""
    text: str
    skew_s: float | None = None
    """Its clock minus ours."""


def ask(address: str, user: str | None) -> Answer:
    """Ask once, for at most 5 s, as `user` (user:password) or as nobody."""
    request = urllib.request.Request(address)
    if user:
        encoded = base64.b64encode(user.encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            told = answer.headers.get("Date")
            skew = parsedate_to_datetime(told).timestamp() - time.time() if told else None
            return Answer(answer.status, answer.read(1000).decode(errors="replace"), skew)
    except urllib.error.HTTPError as refused:
        return Answer(refused.code, str(refused.reason))
    except OSError as error:
        return Answer(None, str(getattr(error, "reason", error)))


def credentials(what: str) -> str | None:
    """user:password for a server, from the environment; None where nothing is set."""
    if what == "prefect":
        return os.environ.get("PREFECT_API_AUTH_STRING")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}" if user else None
