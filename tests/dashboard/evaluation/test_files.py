from dashboard.evaluation.files import EvaluatedFiles


def test_whoever_has_set_a_folder_is_not_told_to_set_one() -> None:
    told = EvaluatedFiles({}, {"a.jpg": "0" * 64}).why_missing("a.jpg")
    assert "Set the dataset folder" in told
    told = EvaluatedFiles({}, {"a.jpg": "0" * 64}, folder="/data").why_missing("a.jpg")
    assert told == "The dataset folder does not hold these photographs."
