"""Files of an object store, by the URIs that fsspec knows: listed at once, copied to be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
"""What file systems call that which changes with a file's content."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of an object store; as text its URI.

    Args:
        uri: ``s3://bucket/tiles/a.png``.
        size: in bytes; 0 where the store does not say.
        version: changes with the content, as far as the store says.
    """

    uri: str
    size: int = 0
    version: str = ""

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """Its last part."""
        return PurePosixPath(self.uri).name

    @property
    def suffix(self) -> str:
        """``.png``."""
        return PurePosixPath(self.uri).suffix

    def copied_to(self, folder: Path) -> Path:
        """A copy below ``folder``, under its own name.

        Raises:
            ValueError: if the store does not give it.
        """
        system, path = _system(self.uri)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            system.get_file(path, str(folder / self.name))
        except Exception as error:  # each store has its own
            raise ValueError(f"{self.uri}: was not fetched ({_said(error)})") from error
        return folder / self.name


Place = Path | RemoteFile
"""Where an image lies."""


def is_uri(place: object) -> bool:
    """Whether something is a URI."""
    return "://" in str(place)


def without_scheme(place: str | Path) -> str | Path:
    """The path that a ``file://`` URI names; anything else as it is."""
    return str(place).removeprefix("file://")


def files_below(uri: str) -> tuple[str, list[RemoteFile]]:
    """A URI as the store spells it, and that file, or all below that folder, in their order.

    Raises:
        FileNotFoundError: if there is nothing.
        ConnectionError: if the store does not answer, or refuses.
        ModuleNotFoundError: without the package that reads it, which is named.
    """
    system, path = _system(uri)
    found = _asked(uri, lambda: system.find(path, detail=True))
    if not found:
        raise FileNotFoundError(f"{uri}: nothing is there")
    files = sorted((_file(system, name, info) for name, info in found.items()), key=str)
    return system.unstrip_protocol(path).rstrip("/"), files


def files_at(uris: Iterable[str]) -> list[RemoteFile]:
    """The files of these URIs, in their order; their folders are listed, each once.

    Raises:
        FileNotFoundError: for those that are not there.
        ConnectionError, ModuleNotFoundError: as :func:`files_below`.
    """
    uris = list(uris)
    folders: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        folders[uri.rpartition("/")[0]].append(uri)
    known: dict[str, RemoteFile] = {}
    for folder, wanted in folders.items():
        system, path = _system(folder)
        listed = _asked(folder, lambda s=system, p=path: s.ls(p, detail=True))  # type: ignore[misc]
        there = {PurePosixPath(info["name"]).name: info for info in listed}
        for uri in wanted:
            info = there.get(PurePosixPath(uri).name) or _info(uri)
            if info:
                known[uri] = _file(system, info["name"], info)
    if missing := [uri for uri in uris if uri not in known]:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(f"{missing[0]}: is not there{more}")
    return [known[uri] for uri in uris]


@contextmanager
def local_copies(places: Sequence[Place]) -> Iterator[list[Path | ValueError]]:
    """Files of this machine as they are, and copies of the others while they are needed.

    Gives the error of one that cannot be fetched in its place.
    """
    with TemporaryDirectory(prefix="sgseg_") if _any_remote(places) else nullcontext("") as folder:
        yield [_local(place, Path(folder, str(n))) for n, place in enumerate(places)]


def _any_remote(places: Iterable[Place]) -> bool:
    return any(isinstance(place, RemoteFile) for place in places)


def _local(place: Place, folder: Path) -> Path | ValueError:
    if isinstance(place, Path):
        return place
    try:
        return place.copied_to(folder)
    except ValueError as error:
        return error


def _asked(uri: str, ask: Any) -> Any:
    try:
        return ask()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{uri}: nothing is there") from error
    except Exception as error:
        raise ConnectionError(
            f"{uri}: cannot be listed ({_said(error)}); the store's own tools say whether it "
            "answers, and who may read it"
        ) from error


def _info(uri: str) -> Mapping[str, Any] | None:
    """Of a file that its folder does not list, as with signed URLs."""
    system, path = _system(uri)
    try:
        return {**system.info(path), "name": path}
    except Exception:  # each store has its own; the caller says what is missing
        return None


def _file(system: Any, name: str, info: Mapping[str, Any]) -> RemoteFile:
    version = next((str(info[key]) for key in _VERSIONS if info.get(key) is not None), "")
    return RemoteFile(system.unstrip_protocol(name), int(info.get("size") or 0), version)


def _system(uri: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ModuleNotFoundError(f"{uri}: needs fsspec: pip install 'sgseg[scale]'") from error
    if "::" in uri:
        raise ValueError(f"{uri}: is a chain of URIs; copy or unpack what it names, and give that")
    try:
        system, path = url_to_fs(uri)
    except ImportError as error:
        raise ModuleNotFoundError(f"{uri}: {_said(error)}, by pip install") from error
    except ValueError as error:
        raise ValueError(f"{uri}: {_said(error)}; s3://, gs://, abfs://, hdfs:// ...") from error
    except Exception as error:  # it may connect already
        raise ConnectionError(f"{uri}: cannot be opened ({_said(error)[:200]})") from error
    return system, path


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
