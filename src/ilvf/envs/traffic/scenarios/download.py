"""Fetch one file whose SHA-256 is known."""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from ilvf.errors import UsageError, require


def download(url: str, path: Path, sha256: str | None, timeout: float = 60.0) -> Path:
    """Fetch `url` to `path`, which appears complete and with the right sum, or not at all.

    Without a sum to compare with, the one found is said and nothing is kept. A file that is there already is not
    touched, and must have the sum if there is one.
    """
    if path.exists():
        found = _sum_of(path)
        right = sha256 is None or found == sha256.lower()
        require(
            right,
            f"{path} is there already and has the SHA-256 {found}, not {sha256}; move it away",
        )
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
            partial = Path(folder, path.name)
            _fetch(url, partial, timeout)
            _check_sum(url, _sum_of(partial), sha256)
            os.replace(partial, path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return path


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_sum(url: str, found: str, wanted: str | None) -> None:
    if wanted is None:
        raise UsageError(
            f"what {url} sent has the SHA-256 {found}, and there is nothing to compare that with, so nothing was kept; "
            f"if you trust it, repeat with --sha256 {found}"
        )
    same = found == wanted.lower()
    require(
        same,
        f"what {url} sent has the SHA-256 {found}, not {wanted}: another file, so nothing was kept",
    )


def _fetch(url: str, path: Path, timeout: float) -> None:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            content, announced = answer.read(), answer.headers.get("Content-Length")
    except http.client.IncompleteRead as broken:
        size = len(broken.partial)
        raise UsageError(
            f"{url} broke off after {size} of {size + (broken.expected or 0)} bytes; try again"
        ) from None
    except urllib.error.HTTPError as error:
        raise UsageError(
            f"{url} answered {error.code} {error.reason}; --url names another place"
        ) from None
    except (
        OSError,
        http.client.HTTPException,
        ValueError,
    ) as error:  # ValueError: what is no URL at all
        raise UsageError(
            f"{url} cannot be read: {getattr(error, 'reason', None) or error}"
        ) from None
    complete = announced is None or len(content) == int(announced)
    require(complete, f"{url} broke off after {len(content)} of {announced} bytes; try again")
    path.write_bytes(content)
