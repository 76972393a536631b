"""A stream of pictures: in order, the bad ones named, nothing computed twice, nothing piled up."""

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.encoders.cache import EmbeddingCache
from quickstudy.encoders.embedding import embed_files


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "cache")


def test_files_images_and_arrays_in_order(files, pictures, counting):
    encoder = counting()
    expected = encoder.embed(pictures)
    for sources in (files, [str(file) for file in files], pictures, [np.asarray(p) for p in pictures]):
        found = list(embed_files(sources, encoder, cache=False))
        assert all(source is given for (source, _), given in zip(found, sources, strict=True))
        torch.testing.assert_close(torch.stack([features for _, features in found]), expected)


def test_the_bad_ones_are_named_and_the_others_go_on(files, counting, cache):
    files[2].write_bytes(b"?")
    missing = files[0].with_name("gone.png")
    sources = [*files[:4], missing, files[5], np.zeros((3, 9, 9), np.uint8)]
    found = list(embed_files(sources, counting(), cache))
    bad = {i: said for i, (_, said) in enumerate(found) if isinstance(said, str)}
    assert bad.keys() == {2, 4, 6}
    assert str(files[2]) in bad[2]
    assert str(missing) in bad[4]
    assert "an array [3, 9, 9]" in bad[6]
    with pytest.raises(qs.DataError, match="gone"):
        list(embed_files([files[0], missing], counting(), cache, on_bad="raise"))
    with pytest.raises(qs.UsageError, match="got a int"):
        list(embed_files(iter([files[0], 3]), counting(), cache))


def test_what_was_embedded_is_found_again_whatever_its_file_is_called(files, counting, cache):
    first, again = counting(), counting()
    expected = dict(embed_files(files, first, cache))
    files[0].rename(files[0].with_name("moved.png"))
    found = dict(embed_files(sorted(files[0].parent.iterdir()), again, cache))
    assert (first.prepared, again.prepared) == (len(files), 0)
    assert torch.equal(found[files[1]], expected[files[1]])
    assert torch.equal(found[files[0].with_name("moved.png")], expected[files[0]])


def test_changed_content_another_encoder_or_no_cache_is_embedded_anew(files, pictures, counting, cache):
    list(embed_files(files, counting(), cache))
    pictures[3].save(files[4])
    changed, other, without = counting(), counting(side=5), counting()
    found = dict(embed_files(files, changed, cache))
    assert changed.prepared == 0  # the same picture under two names
    pictures[3].rotate(180).save(files[4])
    assert not torch.equal(dict(embed_files(files, changed, cache))[files[4]], found[files[4]])
    assert changed.prepared == 1
    list(embed_files(files, other, cache))
    list(embed_files(files, without, cache=False))
    assert (other.prepared, without.prepared) == (len(files), len(files))


def test_the_default_cache(files, counting):
    first, again = counting(side=7), counting(side=7)
    list(embed_files(files, first))
    list(embed_files(files, again))
    assert (first.prepared, again.prepared) == (len(files), 0)


def test_what_is_left_early_goes_on_from_there(files, counting, cache):
    first, again = counting(), counting()
    stream = embed_files(files, first, cache)
    for _ in range(7):
        next(stream)
    stream.close()
    list(embed_files(files, again, cache))
    assert again.prepared == len(files) - 7


def test_it_takes_no_more_than_it_gives(files, counting):
    """Of a stream without an end."""
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield files[taken % len(files)]

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        stream = embed_files(endless(), counting(), cache=False)
        for _ in range(50):
            next(stream)
        stream.close()
    finally:
        torch.set_num_threads(before)
    assert taken < 50 + 30


def test_a_cache_that_fails_takes_nothing_away(files, counting, tmp_path):
    (tmp_path / "file").write_text("")
    encoder = counting()
    with pytest.warns(UserWarning, match="features are not kept"):
        found = list(embed_files(files, encoder, EmbeddingCache(tmp_path / "file")))
    assert len(found) == encoder.prepared == len(files)
