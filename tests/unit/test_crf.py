"""The CRF method on hand-made images, and against mean-field inference written out."""

import numpy as np
import pytest

from tags2masks.config.crf import Bilateral, Gaussian
from tags2masks.config.masks import Crf
from tags2masks.errors import UserError
from tags2masks.masks import dense_crf
from tags2masks.masks.crf import make_mask
from tags2masks.masks.label_crf import probabilities, refine


def two_colours(height=20, width=24, edge=10):
    """Dark left of column `edge`, bright from there on."""
    image = np.full((height, width, 3), 30, np.uint8)
    image[:, edge:] = (220, 200, 180)
    return image


def noisy_seed():
    """Class 6 on the bright side, its border 3 pixels too far left, and specks on both sides."""
    labels = np.zeros((20, 24), np.uint8)
    labels[:, 7:] = 6
    labels[4, 2] = labels[15, 4] = 6
    labels[9, 18] = labels[2, 21] = 0
    return labels


def half_and_half(seed=0):
    """A noisy two-coloured image of 6 x 7 pixels, and a seed of three labels that wanders."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (6, 7, 3)).astype(np.uint8)
    image[:, 4:] += 150
    labels = np.where(np.arange(7) < 4, 0, 3)[None].repeat(6, axis=0).astype(np.uint8)
    wanders = rng.random((6, 7)) < 0.2
    labels[wanders] = 3 - labels[wanders]
    labels[0, 0] = 5
    return image, labels


def mean_field(image, labels, spec):
    """Dense mean-field inference with every pair of pixels, symmetric normalisation, Potts."""
    present, compact = np.unique(labels, return_inverse=True)
    compact = compact.ravel()
    trust = np.full((len(present), compact.size), (1 - spec.gt_prob) / (len(present) - 1))
    trust[compact, np.arange(compact.size)] = spec.gt_prob
    places = np.stack(np.mgrid[: labels.shape[0], : labels.shape[1]], axis=-1).reshape(-1, 2)
    colours = image.reshape(-1, 3).astype(float)
    terms = [
        (places / spec.gaussian.sxy, spec.gaussian.compat),
        (
            np.hstack([places / spec.bilateral.sxy, colours / spec.bilateral.srgb]),
            spec.bilateral.compat,
        ),
    ]
    kernel = 0
    for features, compat in terms:
        likeness = np.exp(-((features[:, None] - features[None]) ** 2).sum(axis=-1) / 2)
        norm = likeness.sum(axis=1) ** -0.5
        kernel = kernel + compat * norm[:, None] * likeness * norm
    belief = trust
    for _ in range(spec.iterations):
        logits = np.log(trust) + belief @ kernel
        belief = np.exp(logits - logits.max(axis=0))
        belief /= belief.sum(axis=0)
    return belief.reshape(len(present), *labels.shape)


def test_a_noisy_seed_snaps_to_the_colour_edge():
    expected = np.zeros((20, 24), np.uint8)
    expected[:, 10:] = 6
    assert (noisy_seed() != expected).sum() == 3 * 20 + 4
    np.testing.assert_array_equal(refine(two_colours(), noisy_seed(), Crf()), expected)


def test_make_mask_refines_the_seed_of_the_maps():
    maps = np.zeros((2, 20, 24), np.float16)
    maps[1, :, 7:], maps[0, 5, 5] = 0.9, 0.2
    mask = make_mask(two_colours(), maps, [3, 6], Crf(background_score=0.3))
    expected = np.zeros((20, 24), np.uint8)
    expected[:, 10:] = 6
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "spec",
    [
        Crf(iterations=1, bilateral=Bilateral(compat=0)),
        Crf(iterations=1, gaussian=Gaussian(compat=0), bilateral=Bilateral(sxy=4, srgb=60)),
        Crf(),
    ],
    ids=["gaussian", "bilateral", "default"],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_mean_field_written_out(spec, seed):
    """The library's lattice filters are approximate: right to a sixth of what the field changes.

    Another normalisation or weight would be wrong by about as much as the field changes.
    """
    image, labels = half_and_half(seed)
    expected = mean_field(image, labels, spec)
    found = probabilities(image, labels, spec)
    assert found.shape == (3, 6, 7)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    trusted = labels == np.array([0, 3, 5]).reshape(3, 1, 1)
    start = np.where(trusted, spec.gt_prob, (1 - spec.gt_prob) / 2)
    change = abs(expected - start).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=change / 6)
    np.testing.assert_array_equal(found.argmax(axis=0), expected.argmax(axis=0))


@pytest.mark.parametrize("label", [0, 4])
def test_a_seed_of_one_label_is_left_alone(label):
    labels = np.full((20, 24), label, np.uint8)
    np.testing.assert_array_equal(refine(two_colours(), labels, Crf()), labels)


def test_an_image_without_classes_is_background():
    mask = make_mask(two_colours(), np.zeros((0, 5, 6), np.float16), [], Crf(background_score=0.3))
    assert mask.shape == (20, 24) and mask.dtype == np.uint8 and not mask.any()


@pytest.mark.parametrize("shape", [(9, 1), (1, 9)])
def test_images_one_pixel_wide(shape):
    image, labels = np.full((*shape, 3), 20, np.uint8), np.zeros(shape, np.uint8)
    image.reshape(9, 3)[4:], labels.reshape(9)[5:] = 230, 8
    assert refine(image, labels, Crf()).ravel().tolist() == [0] * 4 + [8] * 5


def test_only_labels_of_the_seed_come_out_and_255_is_one_of_them():
    labels = noisy_seed()
    labels[labels == 6] = 255
    assert set(np.unique(refine(two_colours(), labels, Crf()))) == {0, 255}


def test_the_same_bytes_each_time_and_from_any_memory_layout():
    image, labels = half_and_half()
    first = probabilities(image, labels, Crf())
    assert probabilities(image, labels, Crf()).tobytes() == first.tobytes()
    turned = np.asfortranarray(image)
    assert not turned.flags.c_contiguous
    assert probabilities(turned, np.asfortranarray(labels), Crf()).tobytes() == first.tobytes()


def test_read_only_arrays():
    """As memory maps are, and the images that some libraries return."""
    image, maps, seed = two_colours(), np.zeros((1, 20, 24), np.float16), noisy_seed()
    maps[0] = (seed == 6) * 0.9
    unary = np.random.default_rng(0).random((2, 480), np.float32)
    spec = Crf(background_score=0.3)

    def results():
        field = dense_crf.mean_field(image, unary, spec)
        return make_mask(image, maps, [6], spec), refine(image, seed, spec), field

    before = results()
    for array in (image, maps, seed, unary):
        array.flags.writeable = False
    for expected, found in zip(before, results(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_parameters_count():
    image, labels = two_colours(), noisy_seed()
    blind = Crf(gaussian=Gaussian(compat=0), bilateral=Bilateral(compat=0))
    np.testing.assert_array_equal(refine(image, labels, blind), labels)
    sure = Crf(gt_prob=0.9999, iterations=1, bilateral=Bilateral(compat=1))
    assert (refine(image, labels, sure) != refine(image, labels, Crf())).any()


def test_a_field_that_is_not_finite_is_told():
    spec = Crf(
        background_score=0.3, gaussian=Gaussian().model_copy(update={"compat": float("inf")})
    )
    with pytest.raises(UserError, match="the CRF gave no finite numbers; lower compat, inf of gau"):
        make_mask(two_colours(), np.full((1, 20, 24), 0.5, np.float16) + _ramp(), [1], spec)


def test_the_configs_extremes_are_fields_of_finite_numbers():
    """Of deviations below the bounds pydensecrf writes beyond its memory."""
    image, labels = two_colours(), noisy_seed()
    for compat in (0, 1e4):
        spec = Crf(
            gaussian=Gaussian(sxy=0.5, compat=compat),
            bilateral=Bilateral(sxy=0.5, srgb=0.1, compat=compat),
        )
        assert np.isfinite(probabilities(image, labels, spec)).all()


def _ramp():
    return np.linspace(-0.4, 0.4, 24, dtype=np.float16)
