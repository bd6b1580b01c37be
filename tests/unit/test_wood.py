"""W-OoD by hand: distances, the closest clusters, the climb, centres, and the sum of the losses."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.cluster import KMeans

from tags2masks.classifiers import wood
from tags2masks.classifiers.ood_terms import Centres, distances, with_ood
from tags2masks.classifiers.seam import seam_losses
from tags2masks.config.classifiers import Wood
from tags2masks.config.training import Backbone
from tags2masks.data.ood_images import OodImages
from tags2masks.data.views import TaggedViews
from tags2masks.errors import UserError
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block
from tags2masks.nets.trained import load_trained
from tags2masks.task import Task
from tags2masks.training import Moment
from tests.unit.learning import CONVNET, TINY, localized
from tests.unit.tiny import CLASSES, small, three_images

MACHINE = Machine(threads=1)
# Features at the origin; centres of two classes, and of five clusters at distances 1, 2, 3, 4, 10.
OF_CLASSES = [[3.0, 4.0], [0.0, 2.0]]
OF_OOD = [[0.0, -2.0], [1.0, 0.0], [-3.0, 0.0], [0.0, 4.0], [6.0, 8.0]]


def spec(**changes):
    """A block of W-OoD with five clusters and without a person."""
    return Wood(**({"keep": "all", "clusters": 5} | changes))


def centres(of_ood=OF_OOD, of_classes=OF_CLASSES, **changes):
    made = Centres(len(of_classes), spec(clusters=len(of_ood), **changes), 2)
    made.of_classes.copy_(torch.tensor(of_classes))
    made.of_ood.copy_(torch.tensor(of_ood))
    made.used.fill_(True)
    return made


def test_the_distance_loss_by_hand():
    features = torch.zeros(1, 2, requires_grad=True)
    tags = torch.tensor([[1.0, 0.0]])
    near, far = distances(features, tags, centres(), spec(distance_mean="sum"))
    assert (near.item(), far.item()) == (5, 1)  # of five clusters, the closest fifth is one
    (gradient,) = torch.autograd.grad(near - far, features)
    # Towards the class's centre: −(3, 4)/5; away from the cluster at (1, 0): +(1, 0).
    torch.testing.assert_close(gradient, torch.tensor([[-0.6 + 1.0, -0.8]]))
    near, far = distances(features, tags, centres(), spec(distance_mean="clusters"))
    assert (near - far).item() == pytest.approx(4 / 5)


def test_all_classes_of_an_image_count_and_one_without_tags_is_only_kept_away():
    both, none = torch.ones(1, 2), torch.zeros(1, 2)
    said = spec(distance_mean="sum")
    near, far = distances(torch.zeros(1, 2), both, centres(), said)
    assert (near.item(), far.item()) == (7, 1)
    near, far = distances(torch.zeros(1, 2), none, centres(), said)
    assert (near.item(), far.item()) == (0, 1)


@pytest.mark.parametrize(("closest", "far"), [(0.01, 1), (0.4, 3), (0.59, 3), (0.6, 6), (1, 20)])
def test_the_share_of_the_clusters_that_are_close(closest, far):
    said = spec(distance_mean="sum", closest=closest)
    assert distances(torch.zeros(1, 2), torch.zeros(1, 2), centres(), said)[1].item() == far


def test_fifty_clusters_have_ten_that_are_close():
    of_ood = [[float(at), 0.0] for at in range(1, 51)]
    said = spec(distance_mean="sum", clusters=50)
    far = distances(torch.zeros(2, 2), torch.zeros(2, 2), centres(of_ood), said)[1]
    assert far.item() == sum(range(1, 11))


def test_the_closest_of_a_batch_may_be_of_one_image():
    # The second image is far from every cluster: of ten distances the two smallest are the first's.
    features, tags = torch.tensor([[0.0, 0.0], [0.0, 100.0]]), torch.zeros(2, 2)
    of_batch = spec(distance_mean="sum", selection="batch")
    assert distances(features, tags, centres(), of_batch)[1].item() == (1 + 2) / 2
    each = distances(features, tags, centres(), spec(distance_mean="sum"))[1].item()
    assert each == pytest.approx((1 + math.hypot(6, 92)) / 2)


def test_the_terms_are_means_over_the_images_as_a_slow_sum():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4, 2, generator=generator)
    tags = (torch.rand(4, 2, generator=generator) < 0.5).float()
    made, near, far = centres(), 0.0, 0.0
    for feature, own in zip(features, tags, strict=True):
        near += sum((feature - made.of_classes[c]).norm() for c in range(2) if own[c])
        far += sorted((feature - centre).norm() for centre in made.of_ood)[0]
    for mean, divisor in (("sum", 4), ("clusters", 20)):
        found = distances(features, tags, made, spec(distance_mean=mean))
        torch.testing.assert_close(found, (near / divisor, far / divisor))


def test_a_feature_on_a_centre_has_no_gradient():
    features = torch.tensor([[3.0, 4.0]], requires_grad=True)
    near, _ = distances(features, torch.tensor([[1.0, 0.0]]), centres(), spec())
    (gradient,) = torch.autograd.grad(near, features)
    assert near.item() == 0 and gradient.tolist() == [[0, 0]]


def test_clusters_of_classes_that_nothing_is_taken_for_do_not_count():
    made = centres(OF_OOD[:3])
    made.used.copy_(torch.tensor([True, False, True]))
    said = spec(clustering="predicted", closest=0.5)
    # Distances 2 and 3; half of two clusters is one; divided by two.
    assert distances(torch.zeros(1, 2), torch.zeros(1, 2), made, said)[1].item() == 2 / 2


def test_the_loss_is_the_sum_of_its_terms_and_each_can_be_left_out():
    tags, logits = torch.tensor([[1.0, 0.0]]), torch.zeros(3, 2)
    host = {"loss": torch.tensor(2.0), "cls": torch.tensor(2.0)}

    def loss(**changes):
        said = spec(distance_mean="sum", distance_weight=0.1, **changes)
        return with_ood(host, torch.zeros(1, 2), tags, logits, centres(), said)["loss"].item()

    ood = math.log(2)  # logits of 0 against no class
    assert loss() == pytest.approx(2 + ood + 0.1 * (5 - 1))
    assert loss(ood_weight=0.25) == pytest.approx(2 + ood / 4 + 0.1 * 4)
    assert loss(ood_weight=0) == pytest.approx(2 + 0.4)
    assert loss(distance_in=0) == pytest.approx(2 + ood - 0.1)
    assert loss(distance_ood=0) == pytest.approx(2 + ood + 0.5)
    assert loss(distance_in=0, distance_ood=0, ood_weight=0) == 2
    figures = with_ood(host, torch.zeros(1, 2), tags, logits, centres(), spec())
    assert [figures[name].item() for name in ("cls", "ood", "distance_in", "distance_ood")] == [
        pytest.approx(value) for value in (2, ood, 5 / 5, 1 / 5)
    ]


def test_published_weights_of_both_means_are_the_same_loss():
    tags, logits, host = torch.ones(1, 2), torch.zeros(1, 2), {"loss": torch.tensor(0.0)}
    of_ood = [[float(at), 1.0] for at in range(50)]
    found = [
        with_ood(host, torch.ones(1, 2), tags, logits, centres(of_ood), spec(clusters=50, **said))
        for said in ({}, {"distance_mean": "sum", "distance_weight": 1.4e-4})
    ]
    torch.testing.assert_close(found[0]["loss"], found[1]["loss"])


class Linear(wood.WoodClassifier):
    """Logits that are w·mean(x) and −w·mean(x) of the normalised image."""

    def __init__(self, weights, backbone):
        super().__init__(spec(backbone=backbone), 2)
        self.weights = torch.tensor(weights)

    def forward(self, images):
        score = self.normalize(images).mean((2, 3)) @ self.weights
        return torch.stack([score, -score], 1)


def test_the_climb_by_hand():
    backbone = Backbone(name="convnet", args=CONVNET.args, mean=(0.5,) * 3, std=(0.5, 0.25, 0.5))
    network = Linear([1.0, -2.0, 0.0], backbone)
    images = torch.full((2, 3, 2, 2), 0.5)
    images[0, 0] = 0.75  # normalised 0.5: the first logit is the highest, its gradient is w/4
    images[1, 1] = 0.75  # normalised 1: −2·1 < 0, so the second logit, and −w/4
    with torch.no_grad():
        moved = network.climbed(images, 0.07)
    # Normalised steps 0.07·(0.5, −1, 0) and 0.07·(−0.5, 1, 0), within the batch's range 0 to 1.
    expected = torch.tensor([[0.5 + 0.035, 0, 0], [0, 1, 0]])
    change = network.normalize(moved)[:, :, 0, 0]
    torch.testing.assert_close(change, expected)
    assert not moved.requires_grad and all(p.grad is None for p in network.parameters())


def test_a_step_is_the_sum_of_its_losses():
    torch.manual_seed(0)
    said = spec(backbone=CONVNET, ood_weight=0.25, clusters=3)
    network = wood.build(said, 2)
    network.centres.of_ood.normal_()
    network.centres.of_classes.normal_()
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    others = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    tags = torch.tensor([[1.0, 0], [1, 1]])
    passes, forward = [], network.backbone.forward_features
    network.backbone.forward_features = lambda seen: passes.append(len(seen)) or forward(seen)
    figures = wood.step(network, [images, tags, others], Moment(0, 0, (0, 0, 0)), said)
    assert passes == [4]  # both batches at once
    cls = F.multilabel_soft_margin_loss(network(images / 255), tags)
    ood = F.multilabel_soft_margin_loss(network(others / 255), torch.zeros(2, 2))
    pooled = network.features(images / 255).mean((2, 3))
    near, far = distances(pooled, tags, network.centres, said)
    torch.testing.assert_close(figures["cls"], cls)
    torch.testing.assert_close(figures["ood"], ood)
    torch.testing.assert_close(figures["loss"], cls + 0.25 * ood + 0.007 * (near - far))
    assert {name for name, _ in network.named_parameters()} == {
        name for name in network.state_dict() if not name.startswith("centres.")
    }


def test_the_climb_is_taken_before_the_loss_on_other_images():
    torch.manual_seed(0)
    said = spec(backbone=CONVNET, climb=0.5, clusters=3)
    network = wood.build(said, 2)
    images, others = torch.randint(256, (2, 2, 3, 8, 8), dtype=torch.uint8)
    batch = [images, torch.ones(2, 2), others]
    found = wood.step(network, batch, Moment(0, 0, (0, 0, 0)), said)["ood"]
    with torch.no_grad():
        moved = network.climbed(others / 255, 0.5)
    expected = F.multilabel_soft_margin_loss(network(moved), torch.zeros(2, 2))
    torch.testing.assert_close(found, expected)
    plain = wood.step(network, batch, Moment(0, 0, (0, 0, 0)), spec(backbone=CONVNET, clusters=3))
    assert found > plain["ood"]


def test_on_seam_the_terms_are_added_to_its_losses():
    torch.manual_seed(0)
    said = spec(host="seam", backbone=TINY, scale=0.5, dropout=0, clusters=3)
    network = wood.build(said, 2).eval()
    network.centres.of_ood.normal_()
    images, others = torch.randint(256, (2, 2, 3, 32, 32), dtype=torch.uint8)
    tags = torch.tensor([[1.0, 0], [1, 1]])
    figures = wood.step(network, [images, tags, others], Moment(0, 0, (0, 0, 0)), said)
    smaller = F.interpolate(images / 255, (16, 16), mode="bilinear")
    plain = seam_losses(*network.refine_all(images / 255, smaller), tags, (16, 16), said)
    for name in ("cls", "low", "er", "ecr"):
        torch.testing.assert_close(figures[name], plain[name])
    ood = F.multilabel_soft_margin_loss(network(others / 255), torch.zeros(2, 2))
    near, far = distances(network.features(images / 255).mean((2, 3)), tags, network.centres, said)
    torch.testing.assert_close(figures["loss"], plain["loss"] + ood + 0.007 * (near - far))


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


def task_of(data, folder, **changes):
    said = small(Wood, **changes)
    upstream = {name: data.upstream[name] for name in ("classifier", "ood")}
    recipe = {"stage": "classifier", "method": "wood", "spec": said.key(), "seed": 3}
    return Task(
        recipe | {"upstream": upstream, "dataset": data.dataset},
        data.index,
        CLASSES,
        data.folder,
        MACHINE,
        folder / "wood" / "model.safetensors",
        files=data.files,
        candidates=data.candidates,
        candidate_root=data.folder,
    )


def begun(task):
    """The network as training begins, and the views."""
    prepare(MACHINE, 3)
    network, views = wood.build(task.spec, len(CLASSES)), wood.views(task)
    wood.begin(task, network, views)
    return network, views


def first_of(task):
    """The ordinary classifier."""
    (model,), _ = task.upstream("classifier")
    spec = model.with_name("spec.json")
    return load_trained("classifier", model, spec, task.recipe["upstream"])[0]


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


CANDIDATES = pd.DataFrame({"image": list("abcdefgh")})


def test_how_many_images_are_used_and_which():
    def used(names, **changes):
        return "".join(wood.chosen_rows(names, CANDIDATES, spec(**changes), 0)["image"])

    ranked = list("hgfedc")
    assert used(ranked) == "cdefgh"
    few = used(ranked, ood_images=5)
    assert len(few) == 5 and set(few) < set(ranked)
    assert few == used(ranked, ood_images=5)
    assert any(few != "".join(
        wood.chosen_rows(ranked, CANDIDATES, spec(ood_images=5), seed)["image"]
    ) for seed in range(1, 9))  # fmt: skip
    # As many of all candidates as are ranked, or as many as are asked for.
    drawn = {used(ranked, keep="random", ood_images=count) for count in (None, 6)}
    assert len(drawn) == 1 and len(drawn.pop()) == 6
    assert used(ranked, keep="random", ood_images=8) == "abcdefgh"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ood_images": 7}, r"ood_images: 7, but there are 6 to use; lower it"),
        ({"clusters": 7}, r"clusters: 7 of 6 out-of-distribution images; lower clusters, or keep"),
        ({"ood_images": 3}, r"clusters: 5 of 3 out-of-distribution images"),
    ],
)
def test_too_few_images_are_told(changes, said):
    with pytest.raises(UserError, match=said):
        wood.chosen_rows(list("abcdef"), CANDIDATES, spec(**changes), 0)
    if "clusters" in changes:
        predicted = spec(clustering="predicted", **changes)
        assert len(wood.chosen_rows(list("abcdef"), CANDIDATES, predicted, 0)) == 6


def test_erased_pixels_have_the_mean_colour(data):
    images = OodImages(data.candidates, data.folder, (0.5, 0.25, 1.0))
    whole = images.read(1)
    left = np.full((37, 53), -1, np.float32)
    left[:, :20] = 0.5
    images.erase = [left] * 3
    erased = images.read(1)
    assert (erased[:, :20] == [128, 64, 255]).all()
    assert np.array_equal(erased[:, 20:], whole[:, 20:])


def test_what_is_erased_is_the_cam_of_the_class(data, tmp_path):
    task = task_of(data, tmp_path, keep="erased", erase_score=0.6)
    images = wood.views(task).ood
    first = first_of(task)
    erased, images.erase = images.erase, None
    for row, number in enumerate([0, 1, 2]):  # the classes of the ranked table
        view = images.whole(row, task.spec.augment)[None] / 255
        cam = first.score_maps(first.features(view))[0, number].relu()
        shown = cam / cam.max().clamp(min=1e-5) > 0.6
        assert np.array_equal(erased[row] > 0, shown.numpy())
    assert any((of_image > 0).any() for of_image in erased)


def test_other_images_come_in_passes_of_their_own(data, tmp_path):
    views, seen = wood.views(task_of(data, tmp_path)), []

    class Two:
        """Two images, whose rows are written down."""

        def __len__(self):
            return 2

        def view(self, row, augment, seeds):
            seen.append(row)
            return torch.zeros(1)

    views.ood = Two()
    for epoch in range(4):
        for position in range(3):
            views[(0, 5, epoch, position)]
    assert len(views) == 3 and len(seen) == 12
    assert all(sorted(seen[at : at + 2]) == [0, 1] for at in range(0, 12, 2))
    tagged = TaggedViews.__getitem__(views, (1, 5, 2, 1))
    assert torch.equal(views[(1, 5, 2, 1)][0], tagged[0])


def test_maps_are_made_of_it(tmp_path):
    localized(tmp_path, spec(backbone=TINY, clusters=2))


def test_a_recipe_has_the_answers_and_not_the_name_of_the_table(tmp_path):
    (tmp_path / "one.csv").write_text("image,keep\na,yes\nb,no\n")
    (tmp_path / "two.csv").write_text("image,class,score,keep\nc,,,\na,cat,0.9,yes\n")
    (tmp_path / "other.csv").write_text("image,keep\na,yes\nb,yes\n")
    blocks = [spec(keep=str(tmp_path / f"{name}.csv")) for name in ("one", "two", "other", "no")]
    assert {block.key()["keep"] for block in blocks} == {"table"}
    digests = [block.tables_read()["keep"] for block in blocks]
    assert digests[0] == digests[1] != digests[2]
    assert digests[3] == "absent"
    assert spec().tables_read() == {} and spec().key()["keep"] == "all"
    again = method_block("classifiers", {"method": "wood", "spec": blocks[0].key()})
    assert again.key() == blocks[0].key()
