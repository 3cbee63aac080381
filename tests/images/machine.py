"""What images take from the machine that builds them: the C library and its neighbours, and certificates.

A program is linked against the C library of the machine that built it, so that one goes with it, whatever the
distribution.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from layer import Layer

# A library with its path (`libc.so.6 => /lib/… (0x…)`), or the loader, which is a path alone.
LDD_LINE = re.compile(r"^\s*(?:\S+ => )?(?P<path>/\S+) \(0x[0-9a-f]+\)$")
LDD_MISSING = re.compile(r"^\s*(?P<name>\S+) => not found$")

# Opened by the C library by name when host names are resolved, if it is older than 2.34; stubs since then.
NAME_SERVICES = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")

LOCALE = Path("/usr/lib/locale/C.utf8")

# Authorities that Mozilla trusts, without those that somebody has added to this machine: an image must not carry these
# to other places. The first is what Debian and its descendants have; the others hold the machine's own as well.
MOZILLA = Path("/usr/share/ca-certificates/mozilla")
BUNDLES = (
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
    Path("/etc/ssl/certs/ca-certificates.crt"),
)


class Missing(Exception):
    """Something that this machine doesn't have, with what to do about it."""


def libraries(program: Path) -> list[Path]:
    """The libraries that a program or library needs, and the loader that finds them; none for a static program."""
    ldd = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if ldd.returncode != 0:
        if "not a dynamic executable" in ldd.stdout + ldd.stderr:
            return []
        raise Missing(f"ldd {program}: {ldd.stderr.strip()}")
    lines = ldd.stdout.splitlines()
    missing = [found["name"] for line in lines if (found := LDD_MISSING.match(line))]
    if missing:
        raise Missing(f"{program} needs {', '.join(missing)}, which this machine doesn't have")
    return [Path(found["path"]) for line in lines if (found := LDD_LINE.match(line))]


def add_libraries(layer: Layer, programs: list[Path], but: Path | None = None) -> None:
    """Puts what the programs need where the loader looks for it, but for what lies in the directory `but`."""
    for program in programs:
        for library in libraries(program):
            if but is None or not library.resolve().is_relative_to(but.resolve()):
                layer.copy(library, str(library))


def add_name_services(layer: Layer, program: Path) -> None:
    """Makes host names resolve as elsewhere: files first, then DNS."""
    layer.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    c_library = next((library for library in libraries(program) if library.name == "libc.so.6"), None)
    for name in NAME_SERVICES:
        if c_library is None:
            return
        service = c_library.with_name(name)
        if service.exists():
            layer.copy(service, str(service))


def add_certificates(layer: Layer) -> None:
    """The authorities to trust, where OpenSSL and rustls look on Debian."""
    certificates = sorted(MOZILLA.glob("*.crt"))
    bundle = next((bundle for bundle in BUNDLES if bundle.exists()), None)
    if certificates:
        content = b"".join(certificate.read_bytes().rstrip() + b"\n" for certificate in certificates)
    elif bundle:
        content = bundle.read_bytes()
    else:
        raise Missing("no certificate authorities are here: install the package ca-certificates")
    layer.data("/etc/ssl/certs/ca-certificates.crt", content)


def add_locale(layer: Layer) -> None:
    """C.UTF-8: every character of Unicode, in the order of their numbers."""
    if not LOCALE.is_dir():
        raise Missing(f"{LOCALE} is not on this machine: install the locale C.UTF-8 (glibc 2.35 and newer have it)")
    layer.tree(LOCALE, str(LOCALE))


def add_people(layer: Layer, name: str, number: int, home: str) -> None:
    """Root, nobody, and the one the image is for."""
    people = {"root": (0, "/root"), "nobody": (65534, "/nonexistent"), name: (number, home)}
    layer.text(
        "/etc/passwd", "".join(f"{who}:x:{id}:{id}:{who}:{at}:/sbin/nologin\n" for who, (id, at) in people.items())
    )
    layer.text("/etc/group", "".join(f"{who}:x:{id}:\n" for who, (id, _) in people.items()))


def tool(name: str) -> Path:
    """The file of a program of this machine."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        raise Missing(
            f"{name} is not on this machine; distributions have it in util-linux, coreutils or a package of its name"
        )
    return Path(found).resolve()
