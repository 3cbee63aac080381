"""A layer of an image: files, directories and links, written as a reproducible tar archive."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

# The links of a merged /usr, as in current distributions.
MERGED = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"}


@dataclass
class Entry:
    """One file of a layer. Its content is `data`, or that of the file `source`."""

    kind: bytes
    mode: int
    owner: int = 0
    data: bytes = b""
    source: Path | None = None
    target: str = ""

    def content(self) -> bytes:
        """Returns the content of the file."""
        return self.source.read_bytes() if self.source else self.data


class Layer:
    """Files by their absolute path in the image."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def directory(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """Adds a directory and its parents."""
        self._add(path, Entry(tarfile.DIRTYPE, mode, owner))

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        """Adds a text file."""
        self._add(path, Entry(tarfile.REGTYPE, mode, data=content.encode()))

    def data(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Adds a binary file."""
        self._add(path, Entry(tarfile.REGTYPE, mode, data=content))

    def copy(self, source: Path, path: str) -> None:
        """Adds a file of this machine, with its executable bit."""
        mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
        self._add(path, Entry(tarfile.REGTYPE, mode, source=source))

    def tree(self, source: Path, path: str, excluded: tuple[str, ...] = ()) -> None:
        """Adds a directory of this machine, without the relative paths that match a pattern of `excluded`."""
        for directory, names, files in os.walk(source):
            for name in sorted([*names, *files]):
                found = Path(directory, name)
                relative = found.relative_to(source)
                if any(
                    fnmatchcase(relative.as_posix(), pattern) or relative.is_relative_to(pattern)
                    for pattern in excluded
                ):
                    continue
                here = f"{path}/{relative.as_posix()}"
                if found.is_symlink():
                    self.link(here, os.readlink(found))
                elif found.is_dir():
                    self.directory(here)
                else:
                    self.copy(found, here)

    def link(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self._add(path, Entry(tarfile.SYMTYPE, 0o777, target=target))

    def merged(self) -> None:
        """Adds the links of a merged /usr."""
        for path, target in MERGED.items():
            self._entries[path] = Entry(tarfile.SYMTYPE, 0o777, target=target)
            self._parents(f"/{target}/.")

    def _add(self, path: str, entry: Entry) -> None:
        path = merged(path)
        self._parents(path)
        self._entries[path] = entry

    def _parents(self, path: str) -> None:
        for parent in PurePosixPath(path).parents:
            if str(parent) != "/":
                self._entries.setdefault(str(parent), Entry(tarfile.DIRTYPE, 0o755))

    def tar(self, when: int) -> bytes:
        """Returns the archive: sorted, without names of users, and with one modification time."""
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, entry in sorted(self._entries.items()):
                info = tarfile.TarInfo(path.lstrip("/"))
                info.type, info.mode, info.mtime = entry.kind, entry.mode, when
                info.uid = info.gid = entry.owner
                info.linkname = entry.target
                content = entry.content()
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return written.getvalue()

    def unpack(self, root: Path) -> None:
        """Writes the files below a directory, without their owners."""
        root.mkdir(parents=True, exist_ok=True)
        for path, entry in sorted(self._entries.items()):
            here = root / path.lstrip("/")
            if entry.kind == tarfile.DIRTYPE:
                here.mkdir(parents=True, exist_ok=True)
            elif entry.kind == tarfile.SYMTYPE:
                here.unlink(missing_ok=True)
                here.symlink_to(entry.target)
                continue
            else:
                here.write_bytes(entry.content())
            here.chmod(entry.mode)


def merged(path: str) -> str:
    """Resolves a path in an image with a merged /usr."""
    for merged_path, target in MERGED.items():
        if path.startswith(f"{merged_path}/"):
            return f"/{target}{path[len(merged_path) :]}"
    return path
