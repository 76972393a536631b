"""What belongs to the process is the caller's: torch's threads, random state, default dtype, attention kernels."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.apply.few_images import classify_folder
from quickstudy.recipes import Choice
from quickstudy.report import make_pictures, save_examples


def tasks():
    return qs.tasks.Glyphs(way=3, query=2, size=16)


def learner(**options):
    return qs.MAML(qs.nets.Conv4(filters=3, size=16, out_features=3), inner_lr=0.1, **options)


def settings():
    cuda = torch.backends.cuda
    new_thread: list[int] = []
    thread = threading.Thread(target=lambda: new_thread.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return {
        "threads": (torch.get_num_threads(), *new_thread, torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "attention": (
            cuda.flash_sdp_enabled(),
            cuda.mem_efficient_sdp_enabled(),
            cuda.math_sdp_enabled(),
            cuda.cudnn_sdp_enabled(),
        ),
        "cudnn": torch.backends.cudnn.enabled,
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "random": torch.get_rng_state().tolist(),
    }


@pytest.fixture(autouse=True)
def several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(11)
    yield
    torch.set_num_threads(before)


class Diverges(qs.ProtoNet):
    def meta_loss(self, batch):
        loss, metrics = super().meta_loss(batch)
        return loss * float("nan"), {**metrics, "loss": loss.detach() * float("nan")}


def images(folder):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in "abc":
        (folder / name).mkdir(parents=True)
        Image.fromarray(rng.integers(150, 255, (16, 16), dtype=np.uint8)).save(folder / name / "1.png")
    return folder


def fails(call, error):
    with pytest.raises(error):
        call()


def uses(tmp_path):
    """By name: a use of the library, with what has to be there made before it is looked at."""
    own, again, glyphs, of_support = learner(), learner(), tasks(), learner(bn="support")
    batch = glyphs.sample(4, 0)
    run = qs.train(learner(), glyphs, steps=1, meta_batch=2, out=tmp_path / "run", device="cpu")
    folder = images(tmp_path / "images")
    x, y = np.random.default_rng(0).random((12, 256)), np.arange(12) % 3
    classifier = qs.FewShotClassifier(own).fit(x, y)
    protonet = Diverges(qs.nets.Conv4(filters=3, size=16, out_features=None))
    noisy = qs.MetaGAN(qs.nets.Conv4(filters=3, size=16, out_features=None), out_features=3, x_shape=(1, 16, 16))
    return {
        "train": lambda: qs.train(own, glyphs, steps=2, meta_batch=3, validation=glyphs, validation_tasks=3),
        "train, one worker": lambda: qs.train(own, glyphs, steps=1, meta_batch=3, workers=1),
        "train, noise": lambda: qs.train(noisy, glyphs, steps=1, meta_batch=2),
        "resume": lambda: qs.train(again, glyphs, steps=1, meta_batch=2, out=run.path, resume=True, device="cpu"),
        "train diverges": lambda: fails(lambda: qs.train(protonet, glyphs, steps=1, meta_batch=2), qs.DivergedError),
        "evaluate": lambda: qs.evaluate(own, glyphs, n_tasks=4),
        "evaluate, two workers": lambda: qs.evaluate(own, glyphs, n_tasks=4, workers=2),
        "evaluate fails": lambda: fails(
            lambda: qs.evaluate(own, qs.tasks.Glyphs(way=5, size=16), n_tasks=3), qs.UsageError
        ),
        "meta_backward": lambda: own.meta_backward(batch),
        "meta_gradient": lambda: own.meta_gradient(batch),
        "adapt": lambda: own.adapt(batch.support)(batch.query.x),
        "sample": lambda: glyphs.sample(2, 3),
        "fit": lambda: qs.FewShotClassifier(own).fit(x, y),
        "predict": lambda: classifier.predict(x),
        "classify a folder": lambda: classify_folder(of_support, qs.tasks.Glyphs(size=16), folder, folder),
        "pictures": lambda: make_pictures(run, own, glyphs),
        "examples": lambda: save_examples(run, own, glyphs, n=2),
        "build": lambda: Choice.of("maml", "glyphs", None, None).build(
            {**Choice.of("maml", "glyphs", None, None).defaults(5, 1), "seed": 3}
        ),
    }


def test_every_use_leaves_them_as_they_were(tmp_path):
    for name, use in uses(tmp_path).items():
        before = settings()
        use()
        after = settings()
        assert {k: v for k, v in after.items() if v != before[k]} == {}, name


def test_a_classifier_may_be_asked_by_several_threads_at_once():
    x = np.random.default_rng(0).random((12, 256)).astype(np.float32)
    y = np.arange(12) % 3
    classifier = qs.FewShotClassifier(learner(), batch_size=4).fit(x, y)
    expected = classifier.predict_proba(x)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: classifier.predict_proba(x), range(100)):
            assert np.array_equal(found, expected)


def test_modes_and_devices_of_a_learner_are_the_callers():
    own = learner()
    own.model.blocks[0].eval()
    modes = [m.training for m in own.modules()]
    qs.evaluate(own, tasks(), n_tasks=2)
    assert [m.training for m in own.modules()] == modes
    with pytest.raises(NotImplementedError):  # what is on this device has no numbers
        qs.evaluate(own, tasks(), n_tasks=2, device="meta")
    assert {p.device.type for p in own.parameters()} == {"cpu"}
    assert [m.training for m in own.modules()] == modes
