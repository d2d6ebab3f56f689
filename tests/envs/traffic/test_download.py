"""Downloads are kept only with the right hash."""

import hashlib
import http.server
import threading

import pytest

from ilvf.envs.traffic.scenarios.download import download

CONTENT = b"<net version='1.20'>" + b"x" * 200_000
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def server():
    """/file has the content, /torn half of what it announces, anything else is 404.

    `server.asked` lists the requested paths.
    """
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in ("/file", "/torn"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/file" else CONTENT[: len(CONTENT) // 2])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.url = f"http://127.0.0.1:{running.server_port}"
        running.asked = asked
        yield running
        running.shutdown()


def test_right_hash(server, tmp_path):
    target = tmp_path / "new" / "most.net.xml"
    assert download(f"{server.url}/file", target, SUM.upper()) == target
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["most.net.xml"]


def test_existing_file_is_not_downloaded_again(server, tmp_path):
    target = tmp_path / "most.net.xml"
    target.write_bytes(CONTENT)
    before = len(server.asked)
    assert download(f"{server.url}/file", target, SUM) == target
    assert len(server.asked) == before


@pytest.mark.parametrize(
    ("path", "sha256", "words"),
    [
        ("/file", "0" * 64, [f"--sha256 {SUM}", "0" * 64, "nothing was kept"]),
        ("/torn", SUM, ["broke off after 100010 of 200020 bytes"]),
        ("/nowhere", SUM, ["404", "--url"]),
    ],
)
def test_downloads_that_are_not_kept(server, tmp_path, refused, path, sha256, words):
    with refused(f"{server.url}{path}", *words):
        download(f"{server.url}{path}", tmp_path / "most.net.xml", sha256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/file", "no url", "file:///nowhere/most.net.xml", "http://"]
)
def test_addresses_that_cannot_be_read(tmp_path, refused, url):
    with refused(url, "cannot be read"):
        download(url, tmp_path / "most.net.xml", SUM)


def test_existing_file_with_another_hash_is_not_replaced(server, tmp_path, refused):
    target = tmp_path / "most.net.xml"
    target.write_text("mine")
    with refused("most.net.xml", "there already", "move it away"):
        download(f"{server.url}/file", target, SUM)
    assert target.read_text() == "mine"


def test_target_that_cannot_be_written(server, tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot write"):
        download(f"{server.url}/file", tmp_path / "file" / "most.net.xml", SUM)
