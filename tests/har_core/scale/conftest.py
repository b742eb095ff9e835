"""Photographs enough for several shards, and a way to look at results."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from har_core.scale import jobs
from har_core.scale.engines.pool import Event
from har_core.scale.results import Results
from har_core.scale.working import Shard, Work, Worker
from tests.drawing import CLASS_NAMES, photo_bytes


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Write 90 different small pictures, six of which are broken."""
    return write_photographs(tmp_path / "photographs", 90)


def write_photographs(folder: Path, n: int) -> Path:
    """Write different small pictures, every 15th of which is broken, to a folder and one below."""
    (folder / "more").mkdir(parents=True)
    drawn = [photo_bytes(CLASS_NAMES[i % 3], i, size=(60, 40)) for i in range(12)]
    for i in range(n):
        content = drawn[i % 12] + b"%d" % i  # behind the end of the picture: another sha256
        if i % 15 == 7:
            content = content[:200]
        (folder / ("more" if i % 4 == 0 else ".") / f"photo_{i:03d}.jpg").write_bytes(content)
    return folder


def rows_of(results: str | Path) -> pd.DataFrame:
    """Return all rows, sorted; checks that there is one for each input."""
    import pyarrow as pa

    table = pa.concat_tables(Results(str(results)).read_rows()).to_pandas()
    assert not table["uri"].duplicated().any()
    return table.sort_values("uri", ignore_index=True)


class InlinePool:
    """One worker without a process, which takes a second to start."""

    size = 1
    address = ""

    def __init__(self, work: Work, size: int | None = None) -> None:
        self._worker = Worker(work)
        self._events = [Event(0, "ready")]

    def submit(self, worker: int, shard: Shard) -> None:
        self._events += [Event(0, "report", r) for r in self._worker.do(shard)]
        self._events.append(Event(0, "finished"))

    def wait(self, seconds: float) -> list[Event]:
        happened, self._events = self._events, []
        return happened

    def state(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def inline(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Score with the tiny model, in this process."""
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve a bucket of S3; what lets it answer every fifth request with 503 comes with it."""
    pytest.importorskip("moto", reason="moto is not installed (requirements-scale.txt)")
    import threading

    from moto.server import DomainDispatcherApplication, create_backend_app
    from pyarrow import fs
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    asked = {"n": 0, "refuse": False}

    def app(environ: dict, start_response: object) -> object:
        asked["n"] += 1
        if asked["refuse"] and asked["n"] % 5 == 0:
            start_response("503 Slow Down", [("Content-Type", "application/xml")])  # type: ignore[operator]
            return [b"<Error><Code>SlowDown</Code><Message>Slow down.</Message></Error>"]
        return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
    }.items():
        monkeypatch.setenv(name, value)
    endpoint = f"127.0.0.1:{server.server_port}"
    name = f"photographs-{server.server_port}"  # moto keeps what is in a bucket for all servers
    fs.S3FileSystem(
        endpoint_override=endpoint, scheme="http", allow_bucket_creation=True
    ).create_dir(name)
    yield f"s3://{name}", lambda: asked.update(refuse=True)
    server.shutdown()
