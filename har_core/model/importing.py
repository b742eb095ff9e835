"""Making a model bundle from a network that was trained elsewhere."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.images.decoding import decode_square, read_bytes
from har_core.images.preprocessing import PREPROCESSINGS, Preprocessing, scale_pixels
from har_core.keras_io.candidates import Candidate, open_candidate, require_packages
from har_core.keras_io.checks import probe_pictures
from har_core.keras_io.outputs import OutputRule, apply_rule, rule_for_outputs
from har_core.keras_io.scaling import InnerScaling
from har_core.model import bundle
from har_core.model.class_indices import format_class_indices, read_class_indices
from har_core.model.fields import check_class_names
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    KERAS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    BundleManifest,
)
from har_core.storage.files import sha256_of_file
from har_core.storage.paths import real

_TOP: Final = 3
PREPROCESSING_HELP: Final = (
    "none (values from 0 to 255, for a network that scales them itself), zero_to_one (x / 255), "
    "minus_one_to_one (x / 127.5 - 1), caffe (BGR less ImageNet's means) or torch (x / 255, "
    "ImageNet's means and deviations)"
)


def import_model(
    source: str | Path,
    class_indices: str | Path,
    *,
    name: str,
    preprocessing: str | None = None,
    scaled_before: bool = False,
    photograph: str | Path | None = None,
    expect: str | None = None,
    models_folder: str | Path | None = None,
    overwrite: bool = False,
) -> BundleManifest:
    """Make a bundle from an ``.h5``, ``.keras`` or ``.onnx`` file; imports TensorFlow for Keras'.

    Parameters
    ----------
    source : str or Path
        A whole network: of Keras 3, of Keras 2 (TensorFlow ≤ 2.15), or an ONNX graph with pixels
        first or last. Nothing in it is executed. It gives probabilities, logits (a softmax is
        added), or for two classes one sigmoid or logit.
    class_indices : str or Path
        The names of its classes in its order; see
        `har_core.model.class_indices.read_class_indices`.
    name : str
        Name of the new bundle.
    preprocessing : {"none", "zero_to_one", "minus_one_to_one", "caffe", "torch"}, optional
        Scaling that the network was trained with; see `har_core.images.preprocessing.scale_pixels`.
        Default: ``none`` if the network is found to scale pixels itself.
    scaled_before : bool, default False
        It was trained on pixels scaled by `preprocessing` although it scales them itself.
    photograph : str or Path, optional
        Something to try the network on, under every scaling: a wrong scaling is seen by that.
    expect : str, optional
        The class of `photograph`; without it among the three most probable, nothing is written.
    models_folder : str or Path, optional
        Where to make it. Default: `har_core.model.bundle.models_dir`.
    overwrite : bool, default False
        Replace a bundle of that name.

    Returns
    -------
    BundleManifest
        As written. In ``training``: ``notes``, what was found and added, in sentences; ``trial``,
        the ``photograph``'s name and the ``answers`` by scaling, (class, probability) pairs;
        ``onnx_error``, why the bundle holds no ONNX graph and is served through Keras (slower, and
        TensorFlow is imported), normally ``None``.

    Raises
    ------
    DatasetError
        If a class cannot have its name, see `har_core.model.fields.check_class_names`.
    ModelBundleError
        If the file cannot be loaded, takes anything but square RGB pictures, has another number
        of outputs than there are classes, or gives nothing that probabilities can be made of; if
        its scaling is not known, or would be done twice; if `expect` is not what it says; if
        `name` is invalid; or if the bundle exists already or cannot be written.
    InvalidImageError
        If `photograph` cannot be read.

    See Also
    --------
    har_core.model.load_model : Loads the bundle.
    """
    source = Path(source)
    require_packages(source)
    root = None if models_folder is None else Path(models_folder)
    folder = bundle.new_bundle_folder(name, overwrite=overwrite, root=root)
    own_names = real(folder / CLASS_INDICES_FILE)  # which the new bundle holds, too
    for path in (source, class_indices):
        if real(path) != own_names and real(path).is_relative_to(real(folder)):
            raise ModelBundleError(
                f"{path} is read and would be replaced with its bundle; choose another name."
            )
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise ModelBundleError(
            f"The preprocessing must be {' or '.join(PREPROCESSINGS)}, not {preprocessing!r}."
        )
    class_names = read_class_indices(class_indices)
    check_class_names(class_names)
    if expect is not None and expect not in class_names:
        raise ModelBundleError(f"{class_indices} has no class {expect!r} that could be expected.")
    content = None if photograph is None else read_bytes(photograph)
    candidate = open_candidate(source)
    scaling, notes = choose_preprocessing(candidate, preprocessing, scaled_before=scaled_before)
    probe = scale_pixels(probe_pictures(candidate.input_size), scaling)
    rule = rule_for_outputs(candidate.run(probe), candidate.ending(), source)
    notes += [rule.note] if rule.note else []
    if rule.n_classes != len(class_names):
        raise ModelBundleError(
            f"{source} tells {rule.n_classes} classes apart, but {class_indices} names "
            f"{len(class_names)}; give the class index file of this very model."
            + (f" {rule.note}" if rule.note else "")
        )
    trial = None
    if photograph is not None and content is not None:
        picture = decode_square(content, candidate.input_size)
        answers = _answers(candidate, rule, class_names, picture)
        trial = {"photograph": Path(photograph).name, "answers": answers}
        notes += _compare_with(expect, answers, scaling, Path(photograph).name)
    manifest = BundleManifest(
        name=name,
        architecture=candidate.architecture,
        input_size=candidate.input_size,
        preprocessing=scaling,
        class_names=class_names,
    )
    with tempfile.TemporaryDirectory() as temporary:
        keras_file, onnx_file = (Path(temporary) / name for name in (KERAS_FILE, ONNX_FILE))
        written, conversion = candidate.write(keras_file, onnx_file, rule, probe)
        manifest = dataclasses.replace(
            manifest,
            training={
                "imported_from": source.name,
                "imported_sha256": sha256_of_file(source),
                **conversion,
                "notes": notes,
                "trial": trial,
            },
        )
        files: dict[str, bytes | Path] = {
            **{path.name: path for path in written},
            CLASS_INDICES_FILE: format_class_indices(class_names).encode(),
            MODEL_CARD_FILE: _model_card(manifest).encode(),
        }
        return bundle.write_bundle(folder, manifest, files, overwrite=overwrite)


def choose_preprocessing(
    candidate: Candidate,
    stated: Preprocessing | None,
    *,
    scaled_before: bool = False,
    default: Preprocessing | None = None,
) -> tuple[Preprocessing, list[str]]:
    """Find out how pixels must be scaled for a network, without ever scaling them twice unasked.

    Parameters
    ----------
    candidate : Candidate
        The network.
    stated : str or None
        What the user says.
    scaled_before : bool, default False
        The user insists, although the network scales pixels itself.
    default : str, optional
        What holds if nothing is stated or found.

    Returns
    -------
    str, list of str
        The scaling, and what to tell the user.

    Raises
    ------
    ModelBundleError
        If nothing is stated and nothing found, or both contradict each other.
    """
    source = candidate.source
    if candidate.takes_whole_numbers:
        if stated not in (None, "none"):
            raise ModelBundleError(
                f"{source} takes pixels as whole numbers, which scaled ones are not: with "
                f"--preprocessing {stated} it would see nothing. Leave --preprocessing out."
            )
        return "none", ["The network takes pixels as whole numbers; preprocessing: none."]
    inner = candidate.inner_scaling()
    scales_itself = inner is not None and inner.expects == "none"
    if scales_itself and stated in (None, "none"):
        return "none", [f"The network scales pixels itself ({inner}); preprocessing: none."]
    if scales_itself and not scaled_before:
        raise ModelBundleError(
            f"{source} scales pixels itself ({inner}); with --preprocessing {stated} they would be "
            "scaled twice. Leave --preprocessing out; or, if the network was trained on pixels "
            "that had been scaled before, add --scaled-before."
        )
    stated = stated or default
    if stated is None:
        raise ModelBundleError(_ask_for_preprocessing(candidate, inner))
    notes = []
    if stated == "none":
        notes.append(
            "Nothing in the network scales pixels: it must have learned from values of 0 to 255."
        )
    elif scales_itself:
        notes.append(f"Pixels are scaled twice, as asked for: by {stated}, then inside ({inner}).")
    return stated, notes


def _ask_for_preprocessing(candidate: Candidate, inner: InnerScaling | None) -> str:
    found = (
        "holds nothing that scales pixels"
        if inner is None
        else f"scales pixels that are scaled before ({inner})"
    )
    usual = candidate.usual_preprocessing()
    hint = "" if usual is None else f" Networks of {usual[0]} are usually trained with {usual[1]}."
    return (
        f"{candidate.source} {found}; say with --preprocessing how it was trained: "
        f"{PREPROCESSING_HELP}.{hint}"
    )


_Answers = dict[str, list[tuple[str, float]]]


def _answers(
    candidate: Candidate, rule: OutputRule, class_names: tuple[str, ...], picture: np.ndarray
) -> _Answers:
    """Return the most probable classes of a photograph under every scaling."""
    answers: _Answers = {}
    for scaling in PREPROCESSINGS:
        pixels = scale_pixels(picture[np.newaxis], scaling)
        (row,) = apply_rule(rule, candidate.run(pixels))
        best = np.argsort(row)[::-1][:_TOP]
        answers[scaling] = [(class_names[index], round(float(row[index]), 4)) for index in best]
    return answers


def _compare_with(
    expected: str | None, answers: _Answers, scaling: Preprocessing, photograph: str
) -> list[str]:
    """Refuse a network that does not say what is expected; return what to tell of the others."""
    if expected is None or answers[scaling][0][0] == expected:
        return []
    others = [other for other, answer in answers.items() if answer[0][0] == expected]
    advice = f"with {' or '.join(others)} it says that first" if others else "nor with any other"
    said = ", ".join(f"{label} {share:.0%}" for label, share in answers[scaling])
    finding = f"of {photograph}, scaled {scaling}, the network says {said}; {advice}"
    if expected in (label for label, _ in answers[scaling]):
        return [f"Expected was {expected}, but {finding}."]
    raise ModelBundleError(
        f"Expected was {expected}, but {finding}. Nothing was written: state another "
        "--preprocessing, check the order of the class names, or leave --expect out."
    )


def _model_card(manifest: BundleManifest) -> str:
    origin = manifest.training
    if origin["onnx_error"] is None:
        served = (
            f"through ONNX Runtime; its probabilities differ from Keras' by at most "
            f"{origin['onnx_difference']:.1g} (measured on drawn pictures)."
        )
    else:
        served = f"through Keras, because there is no ONNX graph: {origin['onnx_error']}"
    return f"""# {manifest.name}

An imported model; its training, its data and its accuracy are not known here. Measure it on
photographs of your own before relying on it.

- **From:** `{origin["imported_from"]}` (sha256 `{origin["imported_sha256"]}`), {manifest.created}
- **Network:** {manifest.architecture}
- **Input:** {manifest.input_size} × {manifest.input_size} RGB, scaled `{manifest.preprocessing}`
- **Classes:** {", ".join(manifest.class_names)}
- **Runs** {served}
{_findings(origin)}"""


def _findings(origin: dict[str, Any]) -> str:
    lines = [f"- {note}" for note in origin["notes"]]
    trial = origin["trial"]
    if trial is not None:
        lines += ["", f"What it says of `{trial['photograph']}`, by how the pixels are scaled:", ""]
        for scaling, answer in trial["answers"].items():
            said = ", ".join(f"{label} {share:.1%}" for label, share in answer)
            lines.append(f"- `{scaling}`: {said}")
    return "".join(f"{line}\n" for line in lines)
