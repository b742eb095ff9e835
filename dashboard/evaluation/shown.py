"""What the Evaluation page shows now: model, evaluation, choices."""

from dataclasses import dataclass
from pathlib import Path

from dashboard.evaluation.files import EvaluatedFiles
from dashboard.evaluation.photos import EvaluatedPhotos
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation
from har_core.model.manifest import BundleManifest


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page shows: a model's evaluation and where its photographs are."""

    folder: Path
    manifest: BundleManifest
    evaluation: Evaluation
    files: EvaluatedFiles

    @property
    def result(self) -> EvaluationResult:
        """With the model's temperature."""
        return self.evaluation.result

    def thumbnail_of(self, filename: str) -> bytes | None:
        """Return a small JPEG of an evaluated photograph, None if it is not there."""
        return self.files.thumbnails([filename])[0]

    @property
    def photos(self) -> EvaluatedPhotos:
        """Draws photographs of the evaluation."""
        return EvaluatedPhotos(self.result, self.files)
