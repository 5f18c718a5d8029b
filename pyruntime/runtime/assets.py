"""The files that travel in a pack beside the model, as a mapping that reads them on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyruntime.pack.reader import Pack


class Assets(Mapping[str, bytes]):
    """Name to content. Nothing is kept: each look-up reads the file, and raises PackError as loading does."""

    def __init__(self, pack: Pack) -> None:
        self._path, self._manifest = pack.path.resolve(), pack.manifest
        self._assets = {a.name: a for a in pack.manifest.assets}

    def __getitem__(self, name: str) -> bytes:
        asset = self._assets[name]
        with Pack(self._path, self._manifest) as pack:
            return pack.read(asset)

    def __contains__(self, name: object) -> bool:  # Mapping's own would read the file
        return name in self._assets

    def __iter__(self) -> Iterator[str]:
        return iter(self._assets)

    def __len__(self) -> int:
        return len(self._assets)
