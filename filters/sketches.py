"""What earlier runs computed of texts, kept in files: nothing that is known is computed again."""

import hashlib
import os
import unicodedata
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters.shingles import LETTERS, VERSION, Hashes, Sets, Wide, normal, shingles
from filters.sketch_files import BYTES_MAX, DIGEST_BYTES, HEAD_BYTES, Writer, keys_of, opened

_FILE_SHIFT = 48
"""A place is the number of a file and, in the low bits, that of a word in it."""


class Sketches:
    """`shingles` of texts, from a folder where an earlier run left them: the same sets with it and without.

    `TwinIndex` puts there, too, what came of its texts. Any number of processes may share the folder. A killed one
    leaves a file that is ignored, a record counts only if digest and checksum are right, and deleting all of it costs
    nothing but time. A known text takes 24 bytes of memory.
    """

    def __init__(self, folder: Path, words: int, bytes_max: int = BYTES_MAX):
        """Look up what is known of texts cut into phrases of `words` words; keep what is not, up to `bytes_max`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._words = words
        # All that decides about a hash, even the table of letters that Python's version brings.
        made_by = f"{VERSION} {words} {unicodedata.unidata_version}".encode() + LETTERS.tobytes()
        prefix = hashlib.blake2b(made_by, digest_size=8).hexdigest()
        self._writer = Writer(folder, prefix, bytes_max)
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

    def of(self, texts: Sequence[str]) -> tuple[list[bytes], Sets]:
        """Return the digest of each text, and the shingles of all."""
        # Half a surrogate pair is no valid text, yet models do write it.
        digests = [digest(text.encode(errors="surrogatepass")) for text in texts]
        known = self._records(digests)
        new = [number for number in range(len(texts)) if number not in known]
        if new:
            made = shingles([normal(texts[number]) for number in new], self._words)
            for place, number in enumerate(new):
                known[number] = made.of(place)
                self._writer.add(digests[number], known[number].tobytes())
            if len(new) == len(texts):
                return digests, made
        sets = [known[number] for number in range(len(texts))]
        sizes = np.fromiter(map(len, sets), np.int64, len(sets))
        return digests, Sets(np.concatenate(sets), np.repeat(np.arange(len(sets)), sizes), np.cumsum(sizes))

    def get(self, name: bytes) -> bytes | None:
        """Return what was put under a digest."""
        found = self._records([name])
        return found[0].tobytes() if found else None

    def put(self, name: bytes, data: bytes) -> None:
        """Keep something else, a multiple of 4 bytes, under a digest that stands for all it was computed from."""
        self._writer.add(name, data)

    def _read(self, prefix: str) -> tuple[Wide, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return of every record, in the order of keys: key, place, length. Of equal keys the newest comes last."""
        keys, starts, lengths = [np.array([], np.uint64)], [np.array([], np.int64)], [np.array([], np.int64)]
        for file in opened(self.folder, prefix):
            keys.append(file.rows["key"])
            starts.append(file.rows["start"].astype(np.int64) + (len(self._files) << _FILE_SHIFT))
            lengths.append(file.rows["words"].astype(np.int64))
            self._files.append((file.path, file.fd))
        every = np.concatenate(keys)
        order = np.argsort(every, kind="stable")
        return every[order], np.concatenate(starts)[order], np.concatenate(lengths)[order]

    def _records(self, digests: list[bytes]) -> dict[int, Hashes]:
        """Return the words kept under each digest that is in a file, by its number."""
        found: dict[int, Hashes] = {}
        if not len(self._keys):
            return found
        wanted = keys_of(b"".join(digests))
        at = np.maximum(np.searchsorted(self._keys, wanted, side="right") - 1, 0)
        hits = np.flatnonzero(self._keys[at] == wanted)
        # Most come as they came the time before, each record behind the last: then a single read brings them all.
        hits = hits[np.argsort(self._starts[at[hits]])]
        starts, lengths = self._starts[at[hits]], self._lengths[at[hits]]
        gaps = (np.flatnonzero(starts[1:] != starts[:-1] + lengths[:-1]) + 1).tolist()
        for first, last in zip([0, *gaps], [*gaps, len(hits)], strict=True):
            if first < last:
                numbers = hits[first:last]
                names = np.frombuffer(b"".join([digests[number] for number in numbers]), np.uint32).reshape(-1, 4)
                sets = self._run(names, int(starts[first]), lengths[first:last])
                found |= {number: words for number, words in zip(numbers.tolist(), sets, strict=True) if len(words)}
        return found

    def _run(self, digests: Hashes, start: int, lengths: npt.NDArray[np.int64]) -> list[Hashes]:
        """Return the bodies of adjoining records, an empty one for each that is not what it should be."""
        words = self._read_at(start, int(lengths.sum()))
        ends = np.cumsum(lengths)
        if len(words) < ends[-1]:
            return [words[:0]] * len(lengths)
        heads = words[(ends - lengths)[:, None] + np.arange(HEAD_BYTES // 4)]
        bodies = [words[end - size : end] for end, size in zip(ends, lengths - HEAD_BYTES // 4, strict=True)]
        crcs = np.fromiter((zlib.crc32(body.data) for body in bodies), np.uint32, len(bodies))
        right = (heads[:, :-1] == digests).all(axis=1) & (heads[:, -1] == crcs)
        return [body if good else body[:0] for body, good in zip(bodies, right.tolist(), strict=True)]

    def _read_at(self, start: int, words: int) -> Hashes:
        number, place = start >> _FILE_SHIFT, start & ((1 << _FILE_SHIFT) - 1)
        self._used.add(number)
        try:
            return np.frombuffer(os.pread(self._files[number][1], 4 * words, 4 * place), np.uint32)
        except (OSError, ValueError):  # in a folder on a network, another machine may have removed even an open file
            return np.array([], np.uint32)


def digest(data: bytes, person: bytes = b"") -> bytes:
    """Return what stands for the data; for a text with no `person`, so that no text can pass for something else."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES, person=person).digest()
