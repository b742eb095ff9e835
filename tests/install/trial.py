"""A fresh environment with the wheel in it, and what must work there."""

import ast
import json
import os
import resource
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from tests.dashboard_process import free_port
from tests.drawing import write_dataset
from tests.install.image import PROJECT, Image

UNWANTED = {"tensorflow", "keras", "tf2onnx", "pytest", "playwright", "mypy", "ruff", "flask"}
# Of the extras "train" and "scale"; `torch` and `jax` are only ever asked for.
MISSING = {"tensorflow", "keras", "tf2onnx", "h5py", "jax", "torch", "ray", "fsspec"}
ANSWER_WITHIN_S = 1.0
START_WITHIN_S = 60
OPEN_PAGES = """
from pathlib import Path
import dashboard
from streamlit.testing.v1 import AppTest
script = Path(dashboard.__file__).with_name("navigation.py")
app = AppTest.from_file(script, default_timeout=60).run()
assert not app.exception, app.exception
print(app.title[0].value)
"""


class Installation:
    """One environment, and an empty folder to work in.

    Parameters
    ----------
    folder : Path
        For everything.
    python : str
        Interpreter to make the environment with.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self.wheels = folder / "wheels"
        self.work = folder / "work"
        self.work.mkdir()
        environment = folder / "venv"
        subprocess.run([python, "-m", "venv", environment], check=True)
        self.programs = environment / "bin"
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "LANG"))}
        self.variables = kept | {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(self.work),
            # Only pip's; the rest of the home folder is empty.
            "PIP_CACHE_DIR": kept.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(
        self, *words: str, cwd: Path | None = None, code: int = 0
    ) -> subprocess.CompletedProcess:
        """Run a program of the environment in the empty folder, and expect an exit code."""
        done = subprocess.run(
            [self.programs / words[0], *words[1:]],
            cwd=cwd or self.work,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        told = f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, told
        return done

    def build(self, context: Path, build: list[str], install: list[str]) -> None:
        """Build the wheel and install it, as the Dockerfile does."""
        start = time.monotonic()
        # An image has no use for a cache; here it spares the downloads.
        build, install = ([w for w in words if w != "--no-cache-dir"] for words in (build, install))
        self.run(*[word.replace("/wheels", str(self.wheels)) for word in build], cwd=context)
        (wheel,) = self.wheels.glob("*.whl")
        self.run(*[word.replace("/wheels/*.whl", str(wheel)) for word in install], cwd=context)
        size = wheel.stat().st_size / 1e6
        print(f"installed {wheel.name} ({size:.0f} MB) in {time.monotonic() - start:.0f} s")

    def try_packages(self) -> None:
        """Look for packages that should not be there, and for imports that need more."""
        listed = json.loads(self.run("pip", "list", "--format=json").stdout)
        names = {package["name"].lower() for package in listed}
        assert not names & UNWANTED, names & UNWANTED
        code = "import sys; from importlib.util import find_spec as find;"
        code += "print(*[name for name in sys.argv[1:] if find(name) is None])"
        missing = set(self.run("python", "-c", code, *sorted(imported())).stdout.split())
        assert missing <= MISSING, missing - MISSING
        print(f"{len(names)} packages, none of {', '.join(sorted(UNWANTED))}")

    def try_commands(self) -> None:
        """Predict, scan, evaluate; and be told what training needs."""
        photo = PROJECT / "dashboard" / "examples" / "cycling.jpg"
        dataset = str(write_dataset(self.work / "DataSet"))
        print(self.run("har", "--version").stdout.strip())
        self.run("har", "predict", str(photo))  # once, for the disk
        waited, worked = [], []
        for _ in range(5):
            start, before = time.monotonic(), children_seconds()
            answer = self.run("har", "predict", str(photo)).stdout
            waited.append(time.monotonic() - start)
            worked.append(children_seconds() - before)
            assert answer.split("\t")[1] == "cycling", answer
        print(f"har predict answers after {min(waited):.2f} s, {min(worked):.2f} s of a processor")
        # The time on the clock is other programs', too.
        assert min(worked) < ANSWER_WITHIN_S, worked
        scanned = self.run("har", "scan", dataset, "--json")
        assert json.loads(scanned.stdout)["exact_duplicates"] == 0
        self.run("har", "evaluate", "--dataset", dataset, "--report", "report.html")
        assert (self.work / "report.html").read_text().startswith("<!")
        refused = self.run("har", "train", "--dataset", dataset, "--name", "mine", code=2)
        assert refused.stderr.rstrip().endswith("pip install 'har-dashboard[train]'")
        assert len(refused.stderr.strip().splitlines()) == 1
        print(self.run("python", "-c", OPEN_PAGES).stdout.strip())

    def try_server(self, image: Image) -> None:
        """Serve as the image does, its home not to be written, until page and prediction come."""
        for name, folder in image.variables.items():
            self.variables[name] = str(self.work / folder.strip("/"))
        self.variables["HOME"] = "/proc/home"
        port = str(free_port())
        words = [str(self.programs / image.command[0]), *image.command[1:], "--port", port]
        start = time.monotonic()
        with (self.work / "log.txt").open("wb") as log:
            server = subprocess.Popen(
                words, cwd=self.work, env=self.variables, stdout=log, stderr=log
            )
        try:
            check = [word.replace("8501", port) for word in image.health_check]
            while self._fails(check):
                assert server.poll() is None, (self.work / "log.txt").read_text()
                assert time.monotonic() - start < START_WITHIN_S, "It never became healthy."
                time.sleep(0.2)
            print(f"healthy {time.monotonic() - start:.1f} s after its start")
            for address in ("", "dataset"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{address}") as page:
                    assert b"<!doctype html>" in page.read().lower()
            photo = (PROJECT / "dashboard" / "examples" / "cycling.jpg").read_bytes()
            answer = post(f"http://127.0.0.1:{port}/predict", photo)
            assert answer["action"] == "cycling", answer
            print(f"POST /predict answers {answer['action']} ({answer['confidence']:.1%})")
        finally:
            server.terminate()
            server.wait(timeout=20)

    def _fails(self, command: list[str]) -> bool:
        words = [str(self.programs / command[0]), *command[1:]]
        return subprocess.run(words, env=self.variables, capture_output=True).returncode != 0


def children_seconds() -> float:
    """Return the processor time of the programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def imported() -> set[str]:
    """Return the top-level packages that the program imports anywhere."""
    found = set()
    for folder in ("har_core", "dashboard", "pages"):
        for file in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found


def post(url: str, photo: bytes) -> dict:
    """Send a photograph as a browser's form does, without a client library."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + photo
    request = urllib.request.Request(
        url,
        body + f"\r\n--{boundary}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error
