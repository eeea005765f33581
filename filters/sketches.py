"""The phrases of texts seen in earlier runs: what is known of a text is not computed again."""

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters import sketch_files
from filters.shingles import LETTERS, VERSION, Hashes, Sets, Wide, normal, shingles
from filters.sketch_files import BYTES_MAX, DIGEST_BYTES, HEAD_BYTES

_FILE_SHIFT = 48
"""A place is the number of a file and, in the low bits, that of a word in it."""


class Sketches:
    """`shingles` of texts, from a folder where an earlier run left them: the same sets with it and without.

    Any number of processes may share the folder. A killed one leaves a file that is ignored, a record counts only if
    digest and checksum are right, and deleting all of it costs nothing but time. A known text takes 24 bytes of memory.
    """

    def __init__(self, folder: Path, words: int, bytes_max: int = BYTES_MAX):
        """Look up what is known of texts cut into phrases of `words` words; keep what is not, up to `bytes_max`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._words = words
        # All that decides about a hash, even the table of letters that Python's version brings.
        made_by = f"{VERSION} {words} {unicodedata.unidata_version}".encode() + LETTERS.tobytes()
        prefix = hashlib.blake2b(made_by, digest_size=8).hexdigest()
        self._writer = sketch_files.Writer(folder, prefix, bytes_max)
        self._files: list[tuple[Path, int]] = []
        self._used: set[int] = set()
        self._keys, self._starts, self._lengths = self._read(prefix)

    def close(self) -> None:
        """Put what is new in its place, and give all files back."""
        self._writer.close()
        for number, (path, fd) in enumerate(self._files):
            os.close(fd)
            if number in self._used:
                with suppress(OSError):  # removed by now
                    os.utime(path)
        self._files = []

    def of(self, texts: Sequence[str]) -> Sets:
        """Return the shingles of each text."""
        # Half a surrogate pair is no valid text, yet models do write it.
        encoded = [text.encode(errors="surrogatepass") for text in texts]
        digests = [hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest() for text in encoded]
        sets = self._known(digests)
        new = [number for number in range(len(texts)) if number not in sets]
        if new:
            made = shingles([normal(texts[number]) for number in new], self._words)
            self._writer.add([digests[number] for number in new], made)
            if not sets:
                return made
            sets |= {number: made.of(place) for place, number in enumerate(new)}
        ordered = [sets[number] for number in range(len(texts))]
        sizes = np.fromiter(map(len, ordered), np.int64, len(ordered))
        return Sets(np.concatenate(ordered), np.repeat(np.arange(len(ordered)), sizes), np.cumsum(sizes))

    def _read(self, prefix: str) -> tuple[Wide, Wide, npt.NDArray[np.int64]]:
        """Return of every record, in the order of keys: key, place, length. Of equal keys the newest comes last."""
        keys, starts = [np.array([], np.uint64)], [np.array([], np.uint64)]
        lengths = [np.array([], np.int64)]
        for file in sketch_files.opened(self.folder, prefix):
            keys.append(file.rows["key"])
            starts.append(file.rows["start"] + np.uint64(len(self._files) << _FILE_SHIFT))
            lengths.append(file.rows["words"].astype(np.int64))
            self._files.append((file.path, file.fd))
        every = np.concatenate(keys)
        order = np.argsort(every, kind="stable")
        return every[order], np.concatenate(starts)[order], np.concatenate(lengths)[order]

    def _known(self, digests: list[bytes]) -> dict[int, Hashes]:
        """Return the hashes of those texts that are in a file."""
        found: dict[int, Hashes] = {}
        if not len(self._keys):
            return found
        wanted = sketch_files.keys(digests)
        at = np.maximum(np.searchsorted(self._keys, wanted, side="right") - 1, 0)
        hits = np.flatnonzero(self._keys[at] == wanted)
        # Most come as they came the time before, each record behind the last: then a single read brings them all.
        hits = hits[np.argsort(self._starts[at[hits]])]
        starts, lengths = self._starts[at[hits]], self._lengths[at[hits]]
        gaps = np.flatnonzero(starts[1:] != starts[:-1] + lengths[:-1].astype(np.uint64)) + 1
        for run in np.split(np.arange(len(hits)), gaps) if len(hits) else ():
            data, end = self._data(int(starts[run[0]]), int(lengths[run].sum())), 0
            for number, words in zip(hits[run].tolist(), lengths[run].tolist(), strict=True):
                record, end = data[end : end + 4 * words], end + 4 * words
                if record[:HEAD_BYTES] == sketch_files.head(digests[number], record[HEAD_BYTES:]):
                    found[number] = np.frombuffer(record[HEAD_BYTES:], np.uint32)
        return found

    def _data(self, start: int, words: int) -> memoryview:
        number, place = start >> _FILE_SHIFT, start & ((1 << _FILE_SHIFT) - 1)
        self._used.add(number)
        try:
            return memoryview(os.pread(self._files[number][1], 4 * words, 4 * place))
        except OSError:  # in a folder on a network, another machine may have removed even an open file
            return memoryview(b"")
