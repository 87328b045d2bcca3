"""One message per outcome, to the addresses in BERTOPS_NOTIFY; to nobody by default."""

import os

from flows.tasks import say

ADDRESSES = "BERTOPS_NOTIFY"
"""Environment variable: Apprise addresses, separated by blanks (https://appriseit.com)."""


def notify(title: str, body: str) -> bool:
    """Send a message; whether it went to somebody. A message that fails fails no flow."""
    addresses = os.environ.get(ADDRESSES, "").split()
    if not addresses:
        return False
    from apprise import Apprise  # comes with Prefect

    sender = Apprise()
    understood = [address for address in addresses if sender.add(address)]
    sent = bool(understood) and bool(sender.notify(title=title, body=body))
    if not sent:
        # The address itself may hold a token, so it is not repeated.
        say(f"notify: the message {title!r} could not be sent; check {ADDRESSES}")
    return sent
