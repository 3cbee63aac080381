"""The images of the project's programs, as the `Dockerfile` builds them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import build_host
from archive import Image
from layer import Layer

# The id of the distroless images, far above the ids of a machine's users.
USER = 65532
HOME = "/home/nonroot"
# The API; SMTP and web page of the inbox; 9090: probes and metrics.
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
    """Builds the image of one program."""
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
    # Two layers, because the base is the same for all programs and rarely changes.
    return Image([f"docker.io/library/{name}:{version(program)}"], config, [_base(program), _top(name, program)])


def version(program: Path) -> str:
    """Reads the version from the program's --version."""
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return output.split()[-1]


def _base(program: Path) -> Layer:
    layer = Layer()
    layer.merged()
    build_host.add_libraries(layer, [program])
    build_host.add_name_services(layer, program)
    build_host.add_certificates(layer)
    build_host.add_users(layer, "nonroot", USER, HOME)
    layer.directory(HOME, 0o755, USER)
    layer.directory("/tmp", 0o1777)
    return layer


def _top(name: str, program: Path) -> Layer:
    layer = Layer()
    layer.copy(program, f"/usr/local/bin/{name}")
    return layer
