"""An S3 endpoint on loopback: moto's server, which can go away and come back."""

import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.services.ask import free_port, wait_for

KEYS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-is-none",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""Environment of whoever may write there."""


@dataclass
class S3:
    """A bucket on a server of its own."""

    bucket: str
    log: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        pytest.importorskip("moto", reason="needs moto (extra: services)")
        boto3 = pytest.importorskip("boto3")
        self.address = f"http://127.0.0.1:{self.port}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_DEFAULT_REGION"],
        )
        self.start({})

    def start(self, held: dict[str, bytes]) -> None:
        """Begin, with these objects in the bucket."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._listens, seconds=60)
        self.client.create_bucket(Bucket=self.bucket)
        for key, body in held.items():
            self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def stop(self) -> None:
        """Be gone from one moment to the other."""
        self.server.kill()
        self.server.wait()

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return {
            key: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys
        }

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
