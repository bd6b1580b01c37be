"""How a training of W-OoD begins: initial weights, and centres of classes and of clusters."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.cluster import KMeans

from tags2masks.classifiers import wood
from tests.unit.tiny import CLASSES, three_images
from tests.unit.wood_task import begun, first_of, task_of


def test_centres_of_classes_by_hand():
    features = torch.tensor([[1.0, 0], [3, 2], [5, 5]])
    own = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert wood.class_centres(features, own).tolist() == [[2, 1], [3, 2], [0, 0]]


def test_kmeans_is_scikit_learns_with_the_seed():
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    found = wood.kmeans_centres(features, 4, 7)
    expected = KMeans(4, n_init=10, random_state=7).fit(features.numpy()).cluster_centers_
    assert np.array_equal(found.numpy(), expected)
    # Two heaps apart: each centre is the mean of one.
    heaps = torch.tensor([[0.0, 0], [0, 2], [10, 0], [10, 4]])
    assert sorted(wood.kmeans_centres(heaps, 2, 0).tolist()) == [[0, 1], [10, 2]]


@pytest.fixture
def data(tmp_path):
    return three_images(tmp_path, [("cat",), ("cat", "dog"), CLASSES], [0, 1])


@pytest.mark.parametrize("host", ["vanilla", "seam"])
def test_it_begins_as_the_ordinary_classifier(data, tmp_path, host):
    task = task_of(data, tmp_path, host=host)
    network, _ = begun(task)
    for name, weight in first_of(task).state_dict().items():
        assert torch.equal(network.state_dict()[name], weight), name
    other, _ = begun(task_of(data, tmp_path, host=host, initial="backbone"))
    for name in ("head.weight", "backbone.conv1.0.weight"):
        assert not torch.equal(other.state_dict()[name], network.state_dict()[name]), name
    assert torch.equal(other.centres.of_ood, network.centres.of_ood)


def pooled_slowly(task, image):
    """The ordinary classifier's feature of a whole image, at the mean size and padded to 32."""
    image = Image.fromarray(image)
    factor = 26 / max(image.size)  # the mean of 20 and 32
    size = [max(1, round(side * factor)) for side in image.size]
    canvas = Image.new("RGB", (32, 32), tuple(round(255 * m) for m in (0.485, 0.456, 0.406)))
    small_one = image.resize(size, Image.Resampling.BILINEAR)
    # The middle, as the views of val are placed.
    corner = [int(0.5 * (32 - side + 1)) for side in size]
    canvas.paste(small_one, corner)
    pixels = torch.from_numpy(np.array(canvas)).permute(2, 0, 1)[None] / 255
    first = first_of(task)
    return first.features(pixels).mean((2, 3))[0], first(pixels)[0]


def read(data, name):
    return np.array(Image.open(data.folder / f"{name}.png").convert("RGB"))


def test_centres_are_of_whole_images_by_the_ordinary_classifier(data, tmp_path):
    task = task_of(data, tmp_path)
    network, _ = begun(task)
    features = [pooled_slowly(task, read(data, f"image {n}"))[0] for n in range(3)]
    of_cat, of_dog, of_cow = sum(features) / 3, (features[1] + features[2]) / 2, features[2]
    expected = torch.stack([of_cat, of_dog, of_cow])
    torch.testing.assert_close(network.centres.of_classes, expected, rtol=1e-4, atol=1e-5)
    others = torch.stack([pooled_slowly(task, read(data, f"other {n}"))[0] for n in range(3)])
    means = KMeans(2, n_init=10, random_state=3).fit(others.numpy()).cluster_centers_
    np.testing.assert_allclose(
        sorted(network.centres.of_ood.tolist()), sorted(means.tolist()), rtol=1e-4, atol=1e-5
    )
    assert network.centres.used.all()


def test_predicted_clusters_are_of_the_class_that_images_are_taken_for(data, tmp_path):
    task = task_of(data, tmp_path, clustering="predicted")
    network, _ = begun(task)
    found = [pooled_slowly(task, read(data, f"other {n}")) for n in range(3)]
    taken = [int(logits.argmax()) for _, logits in found]
    assert network.centres.of_ood.shape[0] == 3
    for number in range(3):
        own = [feature for (feature, _), t in zip(found, taken, strict=True) if t == number]
        assert bool(network.centres.used[number]) == bool(own)
        expected = sum(own) / len(own) if own else torch.zeros_like(found[0][0])
        torch.testing.assert_close(network.centres.of_ood[number], expected, rtol=1e-4, atol=1e-5)
