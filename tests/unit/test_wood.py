"""A step of W-OoD by hand: the climb, the sum of the losses on each host; its maps and recipe."""

import torch
import torch.nn.functional as F

from tags2masks.classifiers import wood
from tags2masks.classifiers.ood_terms import distances
from tags2masks.classifiers.seam import seam_losses
from tags2masks.config.training import Backbone
from tags2masks.methods import method_block
from tags2masks.training import Moment
from tests.unit.learning import CONVNET, TINY, localized
from tests.unit.wood_task import spec


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
