"""A ledger in memory, which can be made to die before any of its writes."""

from bertops.registry.events import Entry


class Killed(BaseException):
    """The process is gone; no handler of ours runs after it."""


class MemoryLedger:
    """What MLflow does for the history and the aliases, without MLflow.

    `dies_after` writes go through, and the next one raises `Killed` instead.
    """

    def __init__(self):
        self.log, self.pointing, self.dies_after = {}, {}, None
        self.before_append = None
        self.champion_was_missing = False
        self.deleted = frozenset()

    def _write(self):
        if self.dies_after is not None:
            if self.dies_after == 0:
                raise Killed
            self.dies_after -= 1

    def append(self, name, event):
        self._write()
        if self.before_append:
            hook, self.before_append = self.before_append, None
            hook()
        entries = self.log.setdefault(name, [])
        entries.append(Entry(len(entries) + 1, event))
        return len(entries)

    def entries(self, name):
        return list(self.log.get(name, []))

    def gone(self, name, versions):
        return frozenset(versions) & self.deleted

    def delete(self, name, version):
        """As MLflow does: the aliases of a version go with it."""
        self.deleted |= {version}
        pointing = self.pointing.get(name, {})
        self.pointing[name] = {a: v for a, v in pointing.items() if v != version}

    def mark_settled(self, name, entry):
        self._write()
        place = entry.number - 1
        self.log[name][place] = Entry(entry.number, entry.event, entry.event.digest)

    def aliases(self, name):
        return dict(self.pointing.get(name, {}))

    def set_alias(self, name, alias, version):
        self._write()
        pointing = self.pointing.setdefault(name, {})
        if version is None:
            pointing.pop(alias)
            self.champion_was_missing |= alias == "champion"
        else:
            pointing[alias] = version
