"""Servers, a worker and a deployed toy project, begun once for each file of tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertops import services
from tests.services.ask import PLANTED, free_port
from tests.toy import bertops, environment, toy_project


@pytest.fixture(scope="module")
def ports() -> services.Ports:
    """Where the servers of this file listen."""
    return services.Ports(free_port(), free_port(), free_port())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, ports: services.Ports) -> Iterator[Path]:
    """A toy project with its servers and a worker, deployed."""
    folder = toy_project(tmp_path_factory.mktemp("topology"))
    for place in (folder, folder.parent, folder.parent.parent):
        place.chmod(0o711)  # PostgreSQL runs as another user and passes through
    before = dict(os.environ)
    os.environ.update(environment(folder) | PLANTED, PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30")
    try:
        os.environ.update(services.up(folder, ports))
        deployed = bertops(folder, "deploy")
        assert deployed.returncode == 0, deployed.stderr
        yield folder
    finally:
        services.down(folder)
        os.environ.clear()
        os.environ.update(before)
