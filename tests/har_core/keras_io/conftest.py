import tarfile
from pathlib import Path

import pytest

from tests.har_core.keras_io.keras_2_files import ARCHIVE


@pytest.fixture(scope="session")
def keras_2_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of networks as Keras 2 wrote them, each with its answers (``.npy``)."""
    folder = tmp_path_factory.mktemp("keras_2")
    with tarfile.open(ARCHIVE) as archive:
        # Python before 3.11.4, as Debian 12 has it, knows no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    return folder


@pytest.fixture
def only_in_a_sweep(request: pytest.FixtureRequest) -> None:
    if "sweep" not in (request.config.getoption("markexpr") or ""):
        pytest.skip("takes long; run by -m sweep")
