"""Copies files of the build host into images: libraries, certificates, the locale and tools.

A program is linked against the C library of the build host, so the image needs the same one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from layer import Layer

# A library (`libc.so.6 => /lib/… (0x…)`) or the loader (only a path).
LDD_LINE = re.compile(r"^\s*(?:\S+ => )?(?P<path>/\S+) \(0x[0-9a-f]+\)$")
LDD_MISSING = re.compile(r"^\s*(?P<name>\S+) => not found$")

# glibc before 2.34 opens these by name to resolve host names. They are stubs since then.
NAME_SERVICES = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")

LOCALE = Path("/usr/lib/locale/C.utf8")

# Mozilla's authorities, if possible without those that were added to this machine, which must not get into images.
# Debian and its derivatives have the directory. The bundles of other distributions contain the added ones as well.
MOZILLA = Path("/usr/share/ca-certificates/mozilla")
BUNDLES = (
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
    Path("/etc/ssl/certs/ca-certificates.crt"),
)


class MissingDependency(Exception):
    """The build host lacks a file. The message says what to install."""


def libraries(program: Path) -> list[Path]:
    """Lists the libraries and the loader of a program or library. A static program has none."""
    ldd = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if ldd.returncode != 0:
        if "not a dynamic executable" in ldd.stdout + ldd.stderr:
            return []
        raise MissingDependency(f"ldd {program}: {ldd.stderr.strip()}")
    lines = ldd.stdout.splitlines()
    missing = [found["name"] for line in lines if (found := LDD_MISSING.match(line))]
    if missing:
        raise MissingDependency(f"{program} needs {', '.join(missing)}: install the packages of these libraries")
    return [Path(found["path"]) for line in lines if (found := LDD_LINE.match(line))]


def add_libraries(layer: Layer, programs: list[Path], excluded: Path | None = None) -> None:
    """Adds the libraries of the programs at their paths, except those in the directory `excluded`."""
    for program in programs:
        for library in libraries(program):
            if excluded is None or not library.resolve().is_relative_to(excluded.resolve()):
                layer.copy(library, str(library))


def add_name_services(layer: Layer, program: Path) -> None:
    """Configures the resolution of host names: files first, then DNS."""
    layer.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    c_library = next((library for library in libraries(program) if library.name == "libc.so.6"), None)
    for name in NAME_SERVICES:
        if c_library is None:
            return
        service = c_library.with_name(name)
        if service.exists():
            layer.copy(service, str(service))


def add_certificates(layer: Layer) -> None:
    """Adds the certificate authorities at Debian's path, which OpenSSL and rustls read."""
    certificates = sorted(MOZILLA.glob("*.crt"))
    bundle = next((bundle for bundle in BUNDLES if bundle.exists()), None)
    if certificates:
        content = b"".join(certificate.read_bytes().rstrip() + b"\n" for certificate in certificates)
    elif bundle:
        content = bundle.read_bytes()
    else:
        raise MissingDependency("this machine has no certificate authorities: install the package ca-certificates")
    layer.data("/etc/ssl/certs/ca-certificates.crt", content)


def add_locale(layer: Layer) -> None:
    """Adds C.UTF-8, which sorts by code point."""
    if not LOCALE.is_dir():
        raise MissingDependency(f"{LOCALE} does not exist: install the locale C.UTF-8 (glibc 2.35 and newer have it)")
    layer.tree(LOCALE, str(LOCALE))


def add_users(layer: Layer, name: str, uid: int, home: str) -> None:
    """Adds the users `root` and `nobody`, and the user of the image."""
    users = {"root": (0, "/root"), "nobody": (65534, "/nonexistent"), name: (uid, home)}
    layer.text(
        "/etc/passwd", "".join(f"{user}:x:{id}:{id}:{user}:{dir}:/sbin/nologin\n" for user, (id, dir) in users.items())
    )
    layer.text("/etc/group", "".join(f"{user}:x:{id}:\n" for user, (id, _) in users.items()))


def tool(name: str) -> Path:
    """Finds a program of this machine."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        raise MissingDependency(
            f"{name} is not installed: install util-linux, coreutils or the package {name}"
        )
    return Path(found).resolve()
