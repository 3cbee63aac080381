"""A layer of an image: files, directories and links, written as a tar archive that is the same every time."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

# Merged directories, as distributions have them today: what is under /lib is found under /usr/lib as well.
MERGED = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"}


@dataclass
class Entry:
    """One file of a layer. Content is `data`, or that of the file `source`."""

    kind: bytes
    mode: int
    owner: int = 0
    data: bytes = b""
    source: Path | None = None
    target: str = ""

    def content(self) -> bytes:
        """What the file holds."""
        return self.source.read_bytes() if self.source else self.data


class Layer:
    """Files by their absolute path in the image."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def directory(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """A directory; its parents come by themselves."""
        self._add(path, Entry(tarfile.DIRTYPE, mode, owner))

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        """A file with this content."""
        self._add(path, Entry(tarfile.REGTYPE, mode, data=content.encode()))

    def data(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """A file with these bytes."""
        self._add(path, Entry(tarfile.REGTYPE, mode, data=content))

    def copy(self, source: Path, path: str) -> None:
        """A file of this machine, executable or not as it is there."""
        mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
        self._add(path, Entry(tarfile.REGTYPE, mode, source=source))

    def tree(self, source: Path, path: str, left_out: tuple[str, ...] = ()) -> None:
        """A directory of this machine with all in it, but for what matches a pattern relative to it."""
        for directory, names, files in os.walk(source):
            for name in sorted([*names, *files]):
                found = Path(directory, name)
                relative = found.relative_to(source)
                if any(
                    fnmatchcase(relative.as_posix(), pattern) or relative.is_relative_to(pattern)
                    for pattern in left_out
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
        """A symbolic link."""
        self._add(path, Entry(tarfile.SYMTYPE, 0o777, target=target))

    def merged(self) -> None:
        """The links of a merged /usr."""
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
        """The archive: sorted, without names of users, all of one time."""
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
        """Writes the files below a directory. Who owns them is lost."""
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
    """Where a path really is in an image with a merged /usr."""
    for merged_path, target in MERGED.items():
        if path.startswith(f"{merged_path}/"):
            return f"/{target}{path[len(merged_path) :]}"
    return path
