"""NATS with the paths, ports and command of the official image `nats:2` (https://github.com/nats-io/nats-docker)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import build_host
from archive import Image
from layer import Layer

# Without the example cluster of the official file, whose password is public.
CONFIG = "port: 4222\nmonitor_port: 8222\n"


def image(program: Path) -> Image:
    """Builds the image of a nats-server."""
    layer = Layer()
    layer.copy(program, "/nats-server")
    layer.text("/nats-server.conf", CONFIG)
    layer.directory("/tmp", 0o1777)
    build_host.add_libraries(layer, [program])
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = output.split()[-1].removeprefix("v")
    major = version.split(".")[0]
    config = {
        "Entrypoint": ["/nats-server"],
        "Cmd": ["--config", "nats-server.conf"],
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"],
        "ExposedPorts": {"4222/tcp": {}, "6222/tcp": {}, "8222/tcp": {}},
        "Labels": {"org.opencontainers.image.title": "nats", "org.opencontainers.image.version": version},
        "WorkingDir": "/",
    }
    return Image([f"docker.io/library/nats:{tag}" for tag in (major, version)], config, [layer])
