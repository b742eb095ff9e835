import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest

from dashboard import explanation
from dashboard.predict import inputs, part
from dashboard.widgets import tab_memory
from har_core.evaluation.answers import store_abstention
from har_core.model.manifest import SPLITS_FILE
from har_core.storage.files import sha256_of_file
from tests.drawing import (
    CLASS_NAMES,
    COLOURS,
    draw_photo,
    encode,
    photo_bytes,
    write_dataset,
    write_tiny_bundle,
)
from tests.guarded import checkerboard, write_guarded_bundle
from tests.parts import run_its_part
from tests.patience import PATIENCE_S
from tests.shown import handed_out
from tests.stale import say_again

SCRIPT = Path(__file__).parents[2] / "dashboard" / "navigation.py"


@pytest.fixture
def app(tiny_models, monkeypatch):
    monkeypatch.delenv("HAR_DATASET", raising=False)
    return AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S)


def upload(app, **files):
    uploader = app.file_uploader[0]
    for name, data in files.items():
        uploader.upload(f"{name}.jpg", data)
    app.run()
    assert not app.exception


def headlines(app):
    return [element.value.replace("\N{NO-BREAK SPACE}", " ") for element in app.header]


def texts(app):
    return "\n".join(element.value for element in [*app.markdown, *app.caption])


def chart(app):
    return json.loads(app.get("plotly_chart")[0].proto.spec)["data"][0]


def test_page_before_a_photograph_lists_the_actions(app):
    app.run()
    assert not app.exception
    assert headlines(app) == ["It can tell 3 actions apart"]
    assert set(chart(app)["y"]) == set(CLASS_NAMES)


def test_one_photograph_gets_words_chart_and_time(app):
    upload(app.run(), photo=photo_bytes("sitting"))
    assert headlines(app) == ["Almost certainly sitting — > 99 %"]
    assert chart(app)["y"][-1] == "sitting"
    assert "Took" in texts(app)
    assert [button.label for button in app.get("download_button")] == ["JSON"]


def test_unusable_file_alone_is_explained(app):
    upload(app.run(), notes=b"<html>not found</html>")
    assert headlines(app) == []
    assert "This file could not be used" in texts(app)
    assert r"notes\.jpg" in texts(app)
    assert not app.slider  # of the least confidence of an answer


def test_several_photographs_get_a_table_and_the_bad_one_its_reason(app):
    files = {label: photo_bytes(label) for label in CLASS_NAMES}
    files["sitting"] = files["sitting"][:-40]
    upload(app.run(), **files, broken=photo_bytes()[:500])
    assert headlines(app)[0] == "3 photographs classified"
    table = app.dataframe[0].value
    assert list(table["file"]) == [f"{label}.jpg" for label in CLASS_NAMES]
    assert list(table["action"]) == list(CLASS_NAMES)
    assert "1 could not be used" in texts(app)
    assert "**1 photograph damaged**" in texts(app) and r"sitting\.jpg" in texts(app)
    assert r"broken\.jpg" in texts(app)
    assert chart(app)["y"][-1] == "clapping"


def test_what_is_looked_at_stays_shown_when_others_come_and_go(app):
    pictures = {label: photo_bytes(label) for label in CLASS_NAMES}
    upload(app.run(), **pictures)
    app.session_state[app.dataframe[0].key] = {"selection": {"cells": [(2, "action")]}}
    app.run()
    assert chart(app)["y"][-1] == CLASS_NAMES[2]
    app.file_uploader[0].clear()
    pictures.pop(CLASS_NAMES[0])
    upload(app, **pictures, other=photo_bytes())
    assert chart(app)["y"][-1] == CLASS_NAMES[2]


def test_one_photograph_beside_a_bad_file_is_counted_in_the_singular(app):
    upload(app.run(), good=photo_bytes("running"), notes=b"text")
    assert headlines(app)[0] == "1 photograph classified"


def test_photographs_stay_until_somebody_takes_them_away(app):
    upload(app.run(), photo=photo_bytes("running"))
    for _ in ("still in the uploader", "kept from before"):
        uploader = app.file_uploader[0]
        app.switch_page("../pages/about.py").run()
        say_again(uploader)
        app.switch_page("../pages/predict.py").run()
        assert r"photo\.jpg" in texts(app)
    upload(app, other=photo_bytes("running"))
    app.file_uploader[0].set_value([]).run()
    assert r"\.jpg" not in texts(app)


def test_example_can_be_tried_at_once_and_whatever_came_last_is_shown(app):
    app.run()
    for name in ("cycling", "running"):
        next(button for button in app.button if button.label == "Try an example").click().run()
        assert not app.exception
        assert rf"{name}\.jpg" in texts(app) and r"mine\.jpg" not in texts(app)
        upload(app, mine=photo_bytes("running"))
        assert r"mine\.jpg" in texts(app) and rf"{name}\.jpg" not in texts(app)


def test_eight_small_samples_are_offered_until_something_is_handed_in(app):
    app.run()
    (samples,) = [
        json.loads(c.proto.json) for c in app.get("bidi_component") if "tiles" in c.proto.json
    ]
    assert [tile["id"] for tile in samples["tiles"]] == [*inputs.PEOPLE, *inputs.OTHERS]
    assert all(tile["source"] for tile in samples["tiles"])
    files = [inputs._EXAMPLES / f"{name}.jpg" for name in (*inputs.PEOPLE, *inputs.OTHERS)]
    assert sum(file.stat().st_size for file in files) < 400_000
    next(button for button in app.button if button.label == "Try an example").click().run()
    assert not [c for c in app.get("bidi_component") if "tiles" in c.proto.json]
    next(button for button in app.button if button.label == "Clear").click().run()
    assert headlines(app) == ["It can tell 3 actions apart"]


def tell(app, holds, event, value):
    """Let a browser say what was clicked in a component that holds something."""
    (component,) = [c for c in app.get("bidi_component") if holds in c.proto.json]
    trigger = f"$$STREAMLIT_INTERNAL_KEY_{component.proto.id}__events"
    told = json.dumps([{"event": event, "value": value}])
    app._run(WidgetStates(widgets=[WidgetState(id=trigger, json_trigger_value=told)]))


@pytest.mark.parametrize(
    ("holds", "event", "value", "shown"),
    [("tiles", "opened", "cat", "cat"), ("steps", "chosen", "sample", "cycling")],
)
def test_a_sample_is_shown_also_where_the_whole_page_runs(app, holds, event, value, shown):
    tell(app.run(), holds, event, value)
    assert not app.exception
    assert rf"{shown}\.jpg" in texts(app)


def test_no_file_but_a_sample_can_be_asked_for(app, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(photo_bytes("running"))
    secret = os.path.relpath(tmp_path / "secret", inputs._EXAMPLES)
    tell(app.run(), "tiles", "opened", secret)
    assert not app.exception
    assert headlines(app) == ["It can tell 3 actions apart"]


def test_surprise_shows_a_photograph_of_the_dataset_with_its_label(app, tiny_dataset):
    app.run()
    assert [button.label for button in app.button] == ["Try an example", "Try something else"]
    app.text_input(key="dataset").set_value(str(tiny_dataset)).run()
    assert "12 labelled photographs" in texts(app)
    next(button for button in app.button if button.label == "Surprise me").click().run()
    assert not app.exception
    assert ":green-badge[" in texts(app)
    assert "in the dataset" in texts(app)
    assert "Took" in texts(app)
    (tiny_dataset / "train.csv").write_text("filename,label\nrunning_0.jpg,sitting\ngone.jpg,\n")
    app.run()
    assert "1 labelled photograph, 1 without a label" in texts(app)
    next(button for button in app.button if button.label == "Surprise me").click().run()
    assert ":orange-badge[:material/close: Labelled sitting in the dataset]" in texts(app)


def test_surprise_prefers_what_the_model_has_not_learned_from(app, tiny_dataset, tiny_models):
    files = sorted((tiny_dataset / "train").iterdir())
    table = pd.DataFrame({"filename": [file.name for file in files]})
    table["label"] = [name.split("_")[0] for name in table["filename"]]
    table["split"] = ["test", *["train"] * (len(files) - 1)]
    table["duplicate_group"] = range(len(files))
    table["sha256"] = [sha256_of_file(file) for file in files]
    table.to_parquet(tiny_models / "tiny" / SPLITS_FILE)
    app.run()
    app.text_input(key="dataset").set_value(str(tiny_dataset)).run()
    next(button for button in app.button if button.label == "Surprise me").click().run()
    assert not app.exception
    assert files[0].name.replace(".", "\\.").replace("_", "\\_") in texts(app)
    assert "in the dataset, of the model's test split" in texts(app)


def test_surprise_without_any_file_is_a_message(app, tiny_dataset):
    for photo in (tiny_dataset / "train").iterdir():
        photo.rename(photo.with_name(f"other_{photo.name}"))
    app.run()
    app.text_input(key="dataset").set_value(str(tiny_dataset)).run()
    next(button for button in app.button if button.label == "Surprise me").click().run()
    assert not app.exception
    assert "None of the listed photographs" in app.toast[0].value


def test_dataset_folder_starts_with_the_environments(app, monkeypatch, tmp_path):
    monkeypatch.setenv("HAR_DATASET", str(write_dataset(tmp_path / "from_environment")))
    app.run()
    assert "12 labelled photographs" in texts(app)


@pytest.mark.parametrize("folder", ["/no/such/folder", "~nobody-here/x", "/etc", "\0"])
def test_unusable_dataset_folder_is_explained_beside_its_field(app, folder):
    app.run()
    app.text_input(key="dataset").set_value(folder).run()
    assert not app.exception
    assert len(app.sidebar.error) == 1
    assert "Surprise me" not in [button.label for button in app.button]


def test_without_a_model_the_page_says_what_to_do(app, monkeypatch, tmp_path):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "none"))
    app.run()
    assert not app.exception
    assert "train" in app.error[0].value
    assert not app.get("file_uploader")


def test_every_model_is_listed_with_its_accuracy_or_its_error(app, tiny_models):
    metrics = {"split": "test", "n": 50, "top1": {"value": 0.8, "low": 0.7, "high": 0.9}}
    write_tiny_bundle(tiny_models, "older", metrics=metrics, created="2001-01-01T00:00:00+00:00")
    (tiny_models / "damaged").mkdir()
    app.run()
    assert app.selectbox(key="model").options == ["tiny", "older"]
    listed = texts(app).replace("\N{NO-BREAK SPACE}", " ")
    assert "older · 80.0 %" in listed
    assert "tiny · not measured" in listed
    assert ":red[" in listed and "is not a model bundle" in listed


def test_chosen_model_answers_and_is_in_the_address(app, tiny_models):
    write_tiny_bundle(tiny_models, "older", created="2001-01-01T00:00:00+00:00")
    app.query_params["model"] = "older"
    app.run()
    assert app.selectbox(key="model").value == "older"
    app.selectbox(key="model").select("tiny").run()
    app.selectbox(key="model").select("older").run()
    assert app.query_params["model"] == "older"


def test_picker_starts_with_the_model_that_the_api_uses(app, tiny_models, monkeypatch):
    write_tiny_bundle(tiny_models, "older", created="2001-01-01T00:00:00+00:00")
    monkeypatch.setenv("HAR_MODEL", "older")
    app.run()
    assert app.selectbox(key="model").value == "older"


def test_model_with_a_changed_file_is_refused_without_breaking_the_page(app, tiny_models):
    (tiny_models / "tiny" / "model.onnx").write_bytes(b"damaged")
    app.run()
    assert not app.exception
    assert "damaged" in app.error[0].value


def test_model_outside_the_models_folder_can_be_the_default(app, monkeypatch, tmp_path):
    write_tiny_bundle(tmp_path / "elsewhere", "own")
    monkeypatch.setenv("HAR_MODEL", str(tmp_path / "elsewhere" / "own"))
    app.run()
    assert app.selectbox(key="model").value == "own"
    assert app.selectbox(key="model").options == ["own", "tiny"]
    upload(app, photo=photo_bytes("running"))
    assert headlines(app)[0].startswith("Almost certainly running")


def test_default_model_may_share_its_name_with_another(app, monkeypatch, tmp_path):
    metrics = {"split": "test", "n": 50, "top1": {"value": 0.8, "low": 0.7, "high": 0.9}}
    write_tiny_bundle(tmp_path / "elsewhere", "tiny", metrics=metrics)
    outer = str((tmp_path / "elsewhere" / "tiny").resolve())
    monkeypatch.setenv("HAR_MODEL", outer)
    app.run()
    assert app.selectbox(key="model").options == [outer, "tiny"]
    assert "Right on 80.0" in app.sidebar.caption[0].value
    app.selectbox(key="model").select("tiny").run()
    assert app.sidebar.caption[0].value == "Accuracy not measured"


def test_default_that_is_no_bundle_is_said(app, monkeypatch, tmp_path):
    (tmp_path / "own.keras").write_bytes(b"")
    monkeypatch.setenv("HAR_MODEL", str(tmp_path / "own.keras"))
    app.run()
    assert app.selectbox(key="model").options == ["tiny"]
    assert "own\\.keras (`HAR_MODEL`) is no model bundle" in texts(app)


@pytest.fixture
def guarded_app(app, tiny_models):
    write_guarded_bundle(tiny_models)
    return app


def test_foreign_picture_is_no_action_and_no_bar_stands_out(guarded_app):
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), board=checkerboard())
    assert headlines(guarded_app) == [
        "This does not look like a photograph of someone doing one of the 3 actions"
    ]
    assert len(set(chart(guarded_app)["marker"]["color"])) == 1
    assert "means little here" in guarded_app.info[0].value


def test_batch_has_a_verdict_and_shows_only_what_is_to_check(guarded_app):
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), running=photo_bytes("running"), board=checkerboard())
    assert list(guarded_app.dataframe[0].value["verdict"]) == ["clear", "none of these"]
    guarded_app.get("button_group")[0].set_value("check").run()
    assert not guarded_app.exception
    assert list(guarded_app.dataframe[0].value["file"]) == ["board.jpg"]
    assert "does not look like" in headlines(guarded_app)[1]  # and is what is shown


def test_threshold_that_is_stored_in_the_model_is_obeyed(guarded_app, tiny_models):
    store_abstention(tiny_models / "guarded", 1.0)
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), photo=photo_bytes("running"))
    assert headlines(guarded_app)[0].startswith("I cannot tell: perhaps running or ")


def test_why_draws_a_map_and_names_similar_training_photographs(guarded_app):
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), photo=photo_bytes("running", 97))
    guarded_app.toggle(key="why").set_value(True).run()
    assert not guarded_app.exception
    assert len(guarded_app.get("plotly_chart")) == 2
    assert "changes *running* most" in texts(guarded_app)
    assert texts(guarded_app).count("**running**") == 3


def test_a_similar_photograph_may_be_one_that_no_browser_draws(guarded_app, tmp_path, monkeypatch):
    path = tmp_path / "running.heic"
    path.write_bytes(encode(draw_photo("running", 5), "HEIF"))
    row = {"filename": path.name, "label": "running", "sha256": sha256_of_file(path)}
    monkeypatch.setattr(explanation, "similar_photographs", lambda *_: pd.DataFrame([row]))
    monkeypatch.setattr(explanation, "_paths", lambda _: {path.name: str(path)})
    monkeypatch.setattr(explanation.sidebar, "chosen_dataset", lambda: "folder")
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), photo=photo_bytes("running", 97))
    guarded_app.toggle(key="why").set_value(True).run()
    assert not guarded_app.exception
    (picture,) = guarded_app.get("image")[-1].proto.imgs
    assert picture.alt == "Training photograph running.heic"
    assert picture.url.endswith(".jpg")


def test_something_else_can_be_tried(app):
    app.run()
    for _ in range(2):
        next(b for b in app.button if b.label == "Try something else").click().run()
        assert not app.exception
    assert "coffee" in texts(app)


def test_slider_begins_with_the_models_threshold_and_changes_the_answer(guarded_app, tiny_models):
    store_abstention(tiny_models / "guarded", 0.3)
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), photo=photo_bytes("running"))
    slider = guarded_app.slider(key="min_confidence")
    assert slider.value == 0.3
    slider.set_value(1.0).run()
    assert headlines(guarded_app)[0].startswith("I cannot tell: perhaps running or ")
    assert "the model itself answers from 30 % on" in texts(guarded_app).replace("\u00a0", " ")
    # Another model begins with its own.
    guarded_app.selectbox(key="model").select("tiny").run()
    assert guarded_app.slider(key="min_confidence").value == 0
    guarded_app.slider(key="min_confidence").set_value(1.0).run()
    assert "the model itself always answers" in texts(guarded_app)


def test_a_threshold_that_is_stored_meanwhile_is_obeyed_by_the_part_alone(guarded_app, tiny_models):
    guarded_app.query_params["model"] = "guarded"
    upload(guarded_app.run(), running=photo_bytes("running"))
    assert "cannot tell" not in headlines(guarded_app)[0]
    store_abstention(tiny_models / "guarded", 1.0)
    run_its_part(guarded_app.toggle(key="part").set_value(True))
    assert not guarded_app.exception
    assert any("cannot tell" in line for line in headlines(guarded_app))


def test_a_threshold_outlasts_an_unusable_photograph(guarded_app):
    upload(guarded_app.run(), photo=photo_bytes("running"))
    guarded_app.slider(key="min_confidence").set_value(0.9).run()
    files = {"notes": b"text", "more": b"text", "other": photo_bytes("running")}
    for name, data in files.items():
        guarded_app.file_uploader[0].set_value([(f"{name}.jpg", data, "image/jpeg")])
        guarded_app.run()
        assert not guarded_app.exception
        assert bool(guarded_app.slider) == (name == "other")
    assert guarded_app.slider(key="min_confidence").value == 0.9
    assert guarded_app.query_params["min_confidence"] == "0.9"


def test_link_may_hold_a_threshold_and_table_and_downloads_obey_it(guarded_app, monkeypatch):
    files = handed_out(monkeypatch)
    guarded_app.query_params["model"] = "guarded"
    guarded_app.query_params["min_confidence"] = "1.0"
    upload(guarded_app.run(), running=photo_bytes("running"), sitting=photo_bytes("sitting"))
    assert list(guarded_app.dataframe[0].value["verdict"]) == ["unsure", "unsure"]
    rows = pd.read_csv(io.StringIO(files["CSV"]()))
    assert rows["filename"].tolist() == ["running.jpg", "sitting.jpg"]
    assert rows["answer"].isna().all() and rows["in_scope"].all()
    shown = json.loads(files["JSON"]())
    assert (shown["filename"], shown["action"], shown["answer"]) == ("running.jpg", "running", None)


def two_people():
    """Draw what is running on the left and sitting on the right."""
    picture = Image.new("RGB", (400, 200), COLOURS["running"])
    picture.paste(COLOURS["sitting"], (200, 0, 400, 200))
    return encode(picture, "PNG")


def test_a_part_is_classified_alone_and_another_photograph_begins_whole(app):
    upload(app.run(), pair=two_people())
    app.toggle(key="part").set_value(True).run()
    for across, action in (((0, 50), "running"), ((50, 100), "sitting")):
        app.slider(key="part_across").set_range(*across).run()
        assert not app.exception
        assert headlines(app)[0].startswith(f"Almost certainly {action}")
    assert "part that was chosen" in texts(app)
    app.slider(key="part_across").set_range(50, 52).run()
    assert "needs 5 % of each side" in texts(app)
    app.slider(key="part_across").set_range(50, 100).run()
    upload(app, other=photo_bytes("clapping"))
    assert app.slider(key="part_across").value == (0, 100)


def test_a_dragged_box_moves_the_sliders(app, monkeypatch):
    upload(app.run(), pair=two_people())
    app.toggle(key="part").set_value(True).run()
    state = {"part_box_0": {"selection": {"box": [{"x": [99.6, 51.2], "y": [-3, 80]}]}}}
    monkeypatch.setattr(part.st, "session_state", state)
    part._take_box(0)
    assert (state["part_across"], state["part_down"]) == ((51, 100), (0, 80))
    assert state["part_drawn"] == 1  # a chart of another key each time
    state["part_across"] = (10, 20)
    part._take_box(0)  # a box of the chart before
    assert state["part_across"] == (10, 20)


@pytest.mark.parametrize("chosen", ["by hand", "by a link", ""])
def test_a_model_that_vanishes_while_it_is_open_is_named(app, tiny_models, chosen):
    newest = shutil.copytree(tiny_models / "tiny", tiny_models / "newest")
    manifest = newest / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"created": "2', '"created": "3'))
    if chosen == "by a link":
        app.query_params["model"] = "tiny"
    assert app.run().selectbox(key="model").value == ("tiny" if app.query_params else "newest")
    if chosen == "by hand":
        app.selectbox(key="model").select("tiny").run()
    open_one, other = ("tiny", "newest") if chosen else ("newest", "tiny")
    shutil.rmtree(tiny_models / open_one)
    assert app.run().selectbox(key="model").value == other
    said = f"There is no model {open_one} here (any more): {other} answers."
    assert [toast.value for toast in app.toast] == [said]
    assert not app.run().toast  # it is said once


def test_a_model_that_vanishes_is_named_where_a_part_of_the_page_runs_alone(app, tiny_models):
    shutil.copytree(tiny_models / "tiny", tiny_models / "other")
    upload(app.run(), photo=photo_bytes())
    app.selectbox(key="model").select("other").run()
    shutil.rmtree(tiny_models / "other")
    run_its_part(app.toggle(key="part").set_value(True))
    assert [toast.value for toast in app.toast] == [
        "There is no model other here (any more): tiny answers."
    ]


def test_part_holds_the_pixels_between_its_edges():
    cut = Image.open(io.BytesIO(part.cut_out(two_people(), (25, 75), (10, 60))))
    assert cut.size == (200, 100)
    left, right = (np.asarray(cut)[50, x] for x in (20, 180))
    assert np.abs(left - np.array(COLOURS["running"])).max() < 4
    assert np.abs(right - np.array(COLOURS["sitting"])).max() < 4


def test_what_was_handed_in_and_typed_survives_a_reload(app, tiny_dataset):
    app.run()
    app.text_input(key="dataset").set_value(str(tiny_dataset)).run()
    upload(app, photo=photo_bytes("sitting"))
    token = app.session_state["tab_token"]
    kept = tab_memory._memory()._tabs[token].sizes  # by which it is bounded
    assert kept["uploaded_photos"] == len(photo_bytes("sitting"))
    again = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S)
    again.session_state["tab_memory"] = {"token": token}  # what the tab says after a reload
    again.run()
    assert not again.exception
    assert headlines(again) == ["Almost certainly sitting — > 99 %"]
    assert again.text_input(key="dataset").value == str(tiny_dataset)
    stranger = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S)
    stranger.session_state["tab_memory"] = {"token": "guessed"}
    stranger.query_params["model"] = "removed"
    assert headlines(stranger.run()) == ["It can tell 3 actions apart"]
    assert [said.value for said in stranger.toast] == [
        "There is no model removed here (any more): tiny answers."
    ]
    assert not stranger.run().toast  # it is said once
