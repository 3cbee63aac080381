"""The project's own images: the same as the `Dockerfile` makes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import machine
from archive import Image
from layer import Layer

# As in the distroless images, and far from the numbers that machines give to people.
USER = 65532
HOME = "/home/nonroot"
# The public API; SMTP and the page of the inbox; and of each, probes with metrics.
PORTS = {"catalog": [8080, 9090], "catalogctl": [1025, 8025, 9090], "catalog-operator": [9090]}
COMMANDS = {"catalog": ["serve"], "catalogctl": ["inbox"], "catalog-operator": ["run"]}
DESCRIPTIONS = {
    "catalog": "A product catalogue you can run and trust: the API and its workers",
    "catalogctl": "Tools of Catalog: an inbox for demonstrations and tests, imports",
    "catalog-operator": "The Kubernetes operator of Catalog",
}
HEALTHCHECK = {
    "Test": ["CMD", "/usr/local/bin/catalog", "healthcheck"],
    "Interval": 10 * 10**9,
    "Timeout": 5 * 10**9,
    "StartPeriod": 60 * 10**9,
}


def image(name: str, program: Path) -> Image:
    """The image of one program."""
    labels = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.description": DESCRIPTIONS[name],
        "org.opencontainers.image.version": version(program),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.source": "https://github.com/catalog-rs/catalog",
    }
    config: dict[str, Any] = {
        "User": f"{USER}:{USER}",
        "WorkingDir": "/",
        "Entrypoint": [f"/usr/local/bin/{name}"],
        "Cmd": COMMANDS[name],
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
        "ExposedPorts": {f"{port}/tcp": {} for port in PORTS[name]},
        "Labels": labels,
    }
    if name == "catalog":
        config["Healthcheck"] = HEALTHCHECK
    # Two layers: what is beneath is the same for both programs and rarely changes.
    return Image([f"docker.io/library/{name}:{version(program)}"], config, [_base(program), _top(name, program)])


def version(program: Path) -> str:
    """What the program says of itself."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1]


def _base(program: Path) -> Layer:
    layer = Layer()
    layer.merged()
    machine.add_libraries(layer, [program])
    machine.add_name_services(layer, program)
    machine.add_certificates(layer)
    machine.add_people(layer, "nonroot", USER, HOME)
    layer.directory(HOME, 0o755, USER)
    layer.directory("/tmp", 0o1777)
    return layer


def _top(name: str, program: Path) -> Layer:
    layer = Layer()
    layer.copy(program, f"/usr/local/bin/{name}")
    return layer
