"""One process of writers: each of its threads promotes one version, all at the same moment.

    python -m tests.integration.race_worker ADDRESS NAME CHAMPION START_FILE VERSION …

Waits until START_FILE is there, and prints {version: "won" | "lost" | error} as JSON.
"""

import json
import sys
import threading
import time
from pathlib import Path

from bertops.registry.client import Registry
from bertops.registry.decide import Decision
from bertops.registry.gates import GateResult
from bertops.registry.history import LostRace
from bertops.registry.params import RegistryParams
from bertops.registry.promote import promote

PASS = (GateResult("any", True, "fine"),)


def attempt(registry: Registry, name: str, champion: int | None, version: int) -> str:
    """What became of one promotion."""
    try:
        promote(registry, Decision(name, version, champion, PASS), RegistryParams())
    except LostRace:
        return "lost"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "won"


def main() -> None:
    """Run the writers of this process."""
    address, name, champion, start, *versions = sys.argv[1:]
    registry = Registry(address)
    registry.client.search_registered_models(max_results=1)  # all is imported and connected
    print("ready", flush=True)
    outcomes: dict[str, str] = {}
    expected = int(champion) or None

    def run(version: str) -> None:
        outcomes[version] = attempt(registry, name, expected, int(version))

    threads = [threading.Thread(target=run, args=(version,)) for version in versions]
    while not Path(start).exists():
        time.sleep(0.01)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main()
