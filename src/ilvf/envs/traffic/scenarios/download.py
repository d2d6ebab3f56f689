"""Download one file whose SHA-256 is known."""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from ilvf.errors import UsageError, require


def download(url: str, path: Path, sha256: str, timeout: float = 60.0) -> Path:
    """Download `url` to `path`. The file appears complete and with the right hash, or not at all.

    A file that exists is not replaced.

    Args:
        url: address of the file.
        path: where to put it.
        sha256: its SHA-256.
        timeout: [s] to wait for the server.

    Returns:
        `path`.

    Raises:
        UsageError: the download failed, another hash was found, or `path` cannot be written.
    """
    try:
        if path.exists():
            found = hash_of(path)
            require(
                found == sha256.lower(),
                f"{path} is there already and has the SHA-256 {found}, not {sha256}; move it away",
            )
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
            partial = Path(folder, path.name)
            fetch(url, partial, timeout)
            check_hash(url, hash_of(partial), sha256)
            os.replace(partial, path)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; --net FILE or ILVF_CACHE=FOLDER names another"
        ) from None
    return path


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_hash(url: str, found: str, wanted: str) -> None:
    """Raise unless a downloaded file has the wanted hash."""
    require(
        found == wanted.lower(),
        f"the file from {url} has the SHA-256 {found}, not {wanted}: it is another file, so "
        f"nothing was kept; if you trust it, repeat with --sha256 {found}",
    )


def fetch(url: str, path: Path, timeout: float) -> None:
    """Write what is at `url` into `path`.

    Raises:
        UsageError: the address cannot be read, or the connection broke off.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            content = answer.read()
            announced = answer.headers.get("Content-Length")
    except http.client.IncompleteRead as broken:
        size = len(broken.partial)
        total = size + (broken.expected or 0)
        raise UsageError(f"{url} broke off after {size} of {total} bytes; try again") from None
    except urllib.error.HTTPError as error:
        raise UsageError(
            f"{url} answered {error.code} {error.reason}; --url names another place"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: not a URL
        reason = getattr(error, "reason", None) or error
        raise UsageError(f"{url} cannot be read: {reason}") from None
    require(
        announced is None or len(content) == int(announced),
        f"{url} broke off after {len(content)} of {announced} bytes; try again",
    )
    path.write_bytes(content)
