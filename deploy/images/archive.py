"""Writes image archives for `ctr images import` and `docker load`.

An archive is an OCI image layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) with Docker's
`manifest.json`, as `docker save` has written it since version 25. Layers are not compressed, so that digests depend on
their content and not on the version of a compressor.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from layer import Layer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"

# The names of architectures in Go, which OCI uses.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass
class Image:
    """The content of an archive. `config` is the field `config` of an OCI image configuration."""

    names: list[str]
    config: dict[str, Any]
    layers: list[Layer] = field(default_factory=list)


@dataclass
class Written:
    """The digest of a written manifest, and the size of all layers in bytes."""

    digest: str
    size: int


def write(image: Image, path: Path) -> Written:
    """Writes the archive to a temporary file and renames it to `path` when it is complete."""
    # https://reproducible-builds.org/specs/source-date-epoch/
    when = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    layers = [blob(LAYER, layer.tar(when)) for layer in image.layers]
    created = datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = blob(
        CONFIG,
        _json(
            {
                "created": created,
                "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": image.config,
                "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
                "history": [{"created": created, "created_by": "deploy/images/make"} for _ in layers],
            }
        ),
    )
    manifest = blob(MANIFEST, _json({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}))
    files = blobs | {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [manifest | {"annotations": _named(name)} for name in image.names],
            }
        ),
        "manifest.json": _json(
            [
                {
                    "Config": _blob_path(config),
                    "RepoTags": [name.removeprefix("docker.io/library/") for name in image.names],
                    "Layers": [_blob_path(layer) for layer in layers],
                }
            ]
        ),
    }
    unfinished = path.with_name(f"{path.name}.new")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o644, when
            archive.addfile(info, io.BytesIO(content))
    unfinished.replace(path)
    return Written(manifest["digest"], sum(layer["size"] for layer in layers))


def _named(name: str) -> dict[str, str]:
    # containerd reads the full name from the first, other tools the tag from the second.
    return {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}


def _blob_path(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest']}".replace(":", "/")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
