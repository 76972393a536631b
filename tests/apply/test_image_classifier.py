"""A person's pictures, a few of each class: whatever they come as, however many, and what is odd about them."""

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

import quickstudy as qs
from quickstudy.encoders import EmbeddingCache
from quickstudy.encoders.pixels import Pixels

CLASSES = ["ash", "elm", "oak"]


def classifier(**options):
    return qs.ImageClassifier(**{"encoder": "pixels", "cache": False, **options})


@pytest.fixture(scope="module")
def fitted(photos):
    return classifier(encoder=Pixels(side=8)).fit(photos / "few")


@pytest.fixture
def few(photos, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(photos / "few", tmp_path / "few")


class Counting(Pixels):
    """Counts what it prepares."""

    at_once = 2

    def __init__(self):
        super().__init__(side=8)
        self.prepared = 0

    def prepare(self, image):
        self.prepared += 1
        return super().prepare(image)


def test_a_folder_files_images_and_arrays_are_answered_alike(fitted, photos):
    files = sorted((photos / "new").iterdir())
    images = [Image.open(file).convert("RGB") for file in files]
    expected = fitted.predict_proba(photos / "new")
    assert expected.shape == (13, 3)
    for given in (files, [str(file) for file in files], images, np.stack([np.asarray(image) for image in images])):
        np.testing.assert_array_equal(fitted.predict_proba(given), expected)
    assert fitted.classes_.tolist() == CLASSES
    own = [file.name.partition("-")[0] for file in files[:-1]]
    assert fitted.predict(files).tolist() == [*own, "unknown"]
    assert fitted.score(files[:-1], own) == fitted.score(photos / "few") == 1
    assert fitted.unknown_score(files).argmax() == 12
    assert fitted.unknown_score(files)[12] > fitted.threshold_
    assert fitted.predict_set(files[:-1], 0.9).any(1).mean() > 0.7
    assert fitted.next_to_label(files, 2)[0] in files


def test_labels_of_a_list(photos):
    images = [Image.open(file) for file in sorted((photos / "few").rglob("*.png"))]
    found = classifier(reject=None).fit(images, [c for c in (3, 5, 9) for _ in range(4)])
    assert found.predict(photos / "new")[[0, 4, 8]].tolist() == [3, 5, 9]
    assert np.isnan(found.threshold_)
    assert clone(found).get_params() == found.get_params()


@pytest.mark.parametrize(
    ("fit", "error", "says"),
    [
        (lambda few: (few / "nowhere",), qs.DataError, "nowhere is no folder"),
        (lambda few: (few / "ash",), qs.UsageError, "at least two class folders.*4 images beside the class folders"),
        (lambda few: ([few / "ash" / "0.png"],), qs.UsageError, "need labels"),
        (lambda few: ([few / "ash" / "0.png"], ["a", "b"]), qs.UsageError, "1 pictures and 2 labels"),
        (lambda few: ([few / "ash" / f"{i}.png" for i in range(2)], ["a", "a"]), qs.DataError, "2 classes"),
        (lambda few: (Image.new("RGB", (9, 9)), ["a"]), qs.UsageError, "in a list or a folder; got one Image"),
        (lambda few: (np.zeros((4, 9)), [*"aabb"]), qs.UsageError, "EmbeddingClassifier"),
        (lambda few: ([3, 4], [*"ab"]), qs.UsageError, "a picture is a file.* got 3"),
        (lambda few: ([few / "ash" / "9.png", few / "elm" / "0.png"], [*"ab"]), qs.DataError, "9.png cannot be read"),
    ],
)
def test_what_it_cannot_learn_from(photos, fit, error, says):
    with pytest.raises(error, match=says):
        classifier().fit(*fit(photos / "few"))


def test_an_unknown_head_is_refused_before_anything_is_embedded(photos):
    encoder = Counting()
    with pytest.raises(qs.UsageError, match=r"head must be one of 'auto', .*got head='forest'"):
        classifier(encoder=encoder, head="forest").fit(photos / "few")
    assert encoder.prepared == 0


def test_before_it_is_fitted():
    image = Image.new("RGB", (9, 9))
    for use in (
        lambda new: next(new.stream([image])),
        lambda new: new.predict([image]),
        lambda new: new.next_to_label([image], 1),
        lambda new: new.check(),
        lambda new: new.threshold_,
        lambda new: new.save("x"),
        lambda new: new.to_onnx("x"),
    ):
        with pytest.raises(ValueError, match="not fitted"):
            use(classifier())


def test_class_folders_with_pictures_that_cannot_be_read(few):
    (few / "ash" / "0.png").write_text("no picture")
    shutil.rmtree(few / "oak")
    (few / "oak").mkdir()
    (few / "oak" / "x.jpg").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match=r"left out 2 of 9 pictures, which cannot be read: \S+0\.png is not an image"),
        pytest.warns(UserWarning, match="no picture can be read of: oak; these classes are left out"),
    ):
        found = classifier().fit(few)
    assert found.classes_.tolist() == ["ash", "elm"]
    assert found.labels_ == ["ash"] * 3 + ["elm"] * 4
    (few / "elm").rename(few / "oak" / "elm")
    for file in few.rglob("*.png"):
        file.write_text("no picture")
    with (
        pytest.warns(UserWarning, match="left out 9 of 9"),
        pytest.raises(qs.DataError, match="at least 2 classes that can be read, found 0"),
    ):
        classifier().fit(few)


def test_one_picture_with_two_labels(few):
    shutil.copy(few / "ash" / "0.png", few / "elm" / "same.png")
    with pytest.warns(UserWarning, match=r"one picture has two labels: .*0.png \(ash\) and .*same.png \(elm\)"):
        classifier().fit(few)


def test_a_check_names_the_pictures(few):
    (few / "ash" / "0.png").rename(few / "elm" / "odd.png")
    found = classifier(augment=True, head="centroid").fit(few)
    check = found.check(repeats=1)
    assert [found.sources_[one.row] for one in check.suspects] == [few / "elm" / "odd.png"]
    assert check.suspects[0][1:3] == ("elm", "ash")
    assert 0.8 < check.accuracy.value < 1


def test_views_are_of_one_picture(photos):
    encoder = Counting()
    found = classifier(encoder=encoder, augment=True).fit(photos / "few")
    assert encoder.prepared == 4 * 12
    assert found.classifier_.groups_.tolist() == [i for i in range(12) for _ in range(4)]
    assert len(found.sources_) == 12
    assert found.score(photos / "few") == 1


def test_a_stream_goes_on_after_what_cannot_be_read(fitted, photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    files = sorted((photos / "new").iterdir())
    answers = list(fitted.stream([files[0], broken, *files[1:]]))
    assert [answer.source for answer in answers] == [files[0], broken, *files[1:]]
    assert "broken.jpg" in answers[1].problem
    assert answers[1].label is answers[1].probabilities is None
    rest = [answers[0], *answers[2:]]
    assert [answer.label for answer in rest] == fitted.predict(files).tolist()
    np.testing.assert_array_equal([answer.probabilities for answer in rest], fitted.predict_proba(files))
    np.testing.assert_array_equal([answer.unknown_score for answer in rest], fitted.unknown_score(files))
    with pytest.raises(qs.DataError, match=r"broken\.jpg"):
        fitted.predict([files[0], broken])
    with pytest.raises(qs.UsageError, match="no pictures"):
        fitted.predict([])


def test_a_stream_that_was_left_goes_on_from_there(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("quickstudy.apply.image_classifier.AT_ONCE", 4)
    encoder = Counting()
    found = classifier(encoder=encoder, cache=EmbeddingCache(tmp_path)).fit(photos / "few")
    stream = found.stream(photos / "new")
    for _ in range(5):
        next(stream)
    stream.close()
    before = encoder.prepared
    assert 8 <= before - 12 < 13, "not all in advance"
    assert len(list(found.stream(photos / "new"))) == 13
    assert encoder.prepared < before + 13 - 7, "what was answered was kept"


def test_transductive_answers_are_of_all_together(photos, monkeypatch):
    monkeypatch.setattr("quickstudy.apply.image_classifier.AT_ONCE", 4)
    found = classifier(transductive=True, reject=None).fit(photos / "few")
    together = found.predict_proba(photos / "new")
    np.testing.assert_array_equal([answer.probabilities for answer in found.stream(photos / "new")], together)


def test_a_file_of_it(fitted, photos, tmp_path):
    path = tmp_path / "trees.safetensors"
    fitted.save(path)
    loaded = qs.ImageClassifier.load(path)
    assert loaded.encoder_.side == 8
    assert loaded.reject == 0.05
    np.testing.assert_array_equal(loaded.predict_proba(photos / "new"), fitted.predict_proba(photos / "new"))
    assert loaded.predict(photos / "new").tolist() == fitted.predict(photos / "new").tolist()
    assert str(photos).encode() not in path.read_bytes(), "no name of a file is in it"
    with pytest.raises(qs.RunError, match="features of another encoder than this Pixels"):
        qs.ImageClassifier.load(path, encoder=Pixels(side=9))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(qs.RunError, match=r"no classifier that ImageClassifier\.save wrote"):
        qs.ImageClassifier.load(path)
    fitted.classifier_.save(path)
    with pytest.raises(qs.RunError, match=r"no classifier that ImageClassifier\.save wrote"):
        qs.ImageClassifier.load(path)


def test_a_file_with_an_encoder_of_ones_own(photos, tmp_path):
    own = Counting()
    classifier(encoder=own).fit(photos / "few").save(tmp_path / "own.safetensors")
    with pytest.raises(qs.UsageError, match=r"cannot be built here: .*pass it: ImageClassifier\.load\(PATH, encoder="):
        qs.ImageClassifier.load(tmp_path / "own.safetensors")
    loaded = qs.ImageClassifier.load(tmp_path / "own.safetensors", encoder=own)
    assert loaded.score(photos / "few") == 1
