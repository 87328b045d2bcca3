"""`python -m infra.health ADDRESS`: exit code 0 when it answers, also when it asks who we are."""

import sys
import urllib.error
import urllib.request


def healthy(address: str) -> bool:
    """Whether a server answers at `address`."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        return refused.code in (401, 403)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if healthy(sys.argv[1]) else 1)
