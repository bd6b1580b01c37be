"""The terms of W-OoD by hand: distances, the closest clusters, and the sum of the losses."""

import math

import pytest
import torch

from tags2masks.classifiers.ood_terms import Centres, distances, with_ood
from tests.unit.wood_task import spec

# Features at the origin; centres of two classes, and of five clusters at distances 1, 2, 3, 4, 10.
OF_CLASSES = [[3.0, 4.0], [0.0, 2.0]]
OF_OOD = [[0.0, -2.0], [1.0, 0.0], [-3.0, 0.0], [0.0, 4.0], [6.0, 8.0]]


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
