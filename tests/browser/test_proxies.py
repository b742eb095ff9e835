"""Behind a real nginx that keeps or strips a prefix: pages, uploads, REST and documentation."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import visitor
from tests.dashboard_process import free_port, running_dashboard
from tests.drawing import photo_bytes, write_tiny_bundle

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx; install Debian's nginx-light")
LOCATION = """
        location {prefix} {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}"""


def write_configuration(folder: Path, port: int, locations: dict[str, str]) -> Path:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    blocks = "".join(LOCATION.format(prefix=p, upstream=u) for p, u in locations.items())
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\n    access_log off;\n    client_max_body_size 200m;\n{temporary}"
        f"    server {{\n        listen 127.0.0.1:{port};{blocks}\n    }}\n}}\n"
    )
    return path


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve one dashboard that knows its prefix and one that does not, both behind nginx."""
    folder = tmp_path_factory.mktemp("proxy")
    write_tiny_bundle(folder / "models")
    port = free_port()
    base = ["--server.baseUrlPath", "har"]
    with (
        running_dashboard(folder / "a.txt", folder / "models", options=base) as knows,
        running_dashboard(folder / "b.txt", folder / "models") as plain,
    ):
        locations = {
            "/har/": knows.url,  # kept
            "/har/behind/": f"{knows.url}/",  # stripped, and its own prefix does not come back
            "/plain/": f"{plain.url}/",  # stripped
        }
        configuration = write_configuration(folder, port, locations)
        command = [str(NGINX), "-e", str(folder / "start.log"), "-c", str(configuration)]
        server = subprocess.Popen([*command, "-p", str(folder)])
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 30
            while not answers(url) and time.monotonic() < deadline:
                time.sleep(0.05)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=10)


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/har/healthz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("prefix", ["/har", "/har/behind", "/plain"])
def test_rest_lives_below_the_prefix(proxy: str, prefix: str) -> None:
    root = proxy + prefix
    answer = httpx2.post(
        f"{root}/predict",
        files={"file": ("a.jpg", photo_bytes("sitting"))},
        headers={"X-Request-ID": "from-the-proxy"},
        timeout=30,
    )
    assert answer.json()["action"] == "sitting"
    assert answer.headers["x-request-id"] == "from-the-proxy"
    for path in ("/health", "/healthz", "/readyz", "/models", "/docs", "/openapi.json"):
        assert httpx2.get(root + path, timeout=30).status_code == 200
        assert httpx2.head(root + path, timeout=30).status_code == 200
    unknown = httpx2.get(f"{root}/live", timeout=30)
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/json")


@pytest.mark.browser
@pytest.mark.parametrize("prefix", ["/har", "/plain"])
def test_pages_uploads_and_documentation_live_below_the_prefix(
    proxy: str, browser: Browser, prefix: str
) -> None:
    failed: list[str] = []
    with visitor(browser, proxy) as context:
        page = context.new_page()
        page.on("response", lambda a: failed.append(a.url) if a.status >= 400 else None)
        page.goto(f"{prefix}/")
        photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo_bytes("sitting")}
        page.locator("input[type=file]").first.set_input_files([photo])
        expect(page.get_by_text("sitting", exact=False).first).to_be_visible()
        page.goto(f"{prefix}/dataset")
        heading = page.get_by_role("heading", name="Know your photographs")
        expect(heading).to_be_visible()
        assert page.url == f"{proxy}{prefix}/dataset"
        page.goto(f"{prefix}/docs")
        page.get_by_text("Tell whether predictions can be answered").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".request-url")).to_contain_text(f"{proxy}{prefix}/health")
        expect(page.locator(".live-responses-table").get_by_text('"ready"')).to_be_visible()
    # Streamlit's pages try where they are mounted, one folder after another.
    assert not [url for url in failed if "/dataset/_stcore/" not in url]
