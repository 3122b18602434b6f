import numpy as np
import pytest
import torch

from harness.interventions import edits
from harness.interventions.edits import Reference
from harness.interventions.sites import EditError, Site, Source

VALUES = torch.tensor([[[1.0, 2.0], [3.0, -4.0]]])


def reference() -> Reference:
    numbers = torch.arange(24.0)
    return Reference(
        resid=numbers[:6].reshape(3, 2),
        z=numbers[:8].reshape(2, 2, 2),
        attn_out=numbers[:4].reshape(2, 2),
        neurons=numbers[:6].reshape(2, 3),
        mlp_out=-numbers[:4].reshape(2, 2),
    )


def apply(edit: edits.Edit, values: torch.Tensor = VALUES, other: torch.Tensor | None = None):
    return edit.function(values.clone(), other)


def test_zero_ablation_leaves_nothing():
    assert apply(edits.zero_ablation(Site("mlp", 0))).abs().max() == 0


def test_mean_ablation_writes_the_mean_at_every_position():
    found = apply(edits.mean_ablation(Site("attn", 1), reference()))
    assert found.tolist() == [[[2, 3], [2, 3]]]


@pytest.mark.parametrize(
    ("site", "mean"),
    [
        (Site("resid", -1), [0, 1]),
        (Site("resid", 1), [4, 5]),
        (Site("head", 1, 1), [6, 7]),
        (Site("neuron", 1), [3, 4, 5]),
        (Site("neuron", 1, (2, 0)), [5, 3]),
        (Site("mlp", 1), [-2, -3]),
    ],
)
def test_a_reference_has_the_mean_of_every_site(site, mean):
    assert reference().at(site).tolist() == mean


def test_a_site_outside_is_named():
    with pytest.raises(EditError, match=r"no site head 0\.7: the model has 2 layers of 2 heads"):
        edits.mean_ablation(Site("head", 0, 7), reference())


def test_patching_and_resampling_write_the_other_run():
    for edit in (edits.patch_from(Site("mlp", 0)), edits.resample_ablation(Site("mlp", 0))):
        assert torch.equal(apply(edit, other=VALUES * 10), VALUES * 10)
    assert edits.patch_from(Site("mlp", 0)).source is Source.COUNTERFACTUAL
    assert edits.resample_ablation(Site("mlp", 0)).source is Source.DONOR


def test_a_direction_is_added_projected_out_and_rescaled():
    direction = np.array([0.0, 2.0])
    site = Site("resid", 0)
    assert apply(edits.add_direction(site, direction, 3.0)).tolist() == [[[1, 8], [3, 2]]]
    assert apply(edits.project_out(site, direction)).tolist() == [[[1, 0], [3, 0]]]
    assert apply(edits.rescale(site, direction, 2.0)).tolist() == [[[1, 4], [3, -8]]]


def test_projecting_out_is_orthogonal_and_idempotent():
    direction = torch.tensor([1.0, -3.0])
    once = apply(edits.project_out(Site("resid", 0), direction))
    assert (once @ direction).abs().max() < 1e-5
    assert (apply(edits.project_out(Site("resid", 0), direction), once) - once).abs().max() < 1e-5


def test_neutral_edits_change_no_bit():
    site, direction = Site("resid", 0), torch.tensor([0.3, -0.7])
    values = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    for edit in (edits.add_direction(site, direction, 0.0), edits.rescale(site, direction, 1.0)):
        assert torch.equal(apply(edit, values), values)
        assert edit.may_be_idle
    assert not edits.add_direction(site, direction, 0.1).may_be_idle


def test_a_direction_is_not_changed_by_its_owner_later():
    direction = np.array([1.0, 0.0], dtype=np.float32)
    edit = edits.add_direction(Site("resid", 0), direction, 1.0)
    direction[:] = 100
    assert apply(edit).tolist() == [[[2, 2], [4, -4]]]


@pytest.mark.parametrize("direction", [np.zeros(2), np.array([np.nan, 1])])
def test_a_direction_without_length_is_refused(direction):
    with pytest.raises(EditError, match="rescale of resid 0: the direction's length is"):
        edits.project_out(Site("resid", 0), direction)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Site("layer", 0), "site kind 'layer' is not one of resid, attn"),
        (lambda: Site("head", 0), "head 0 needs the number of one head"),
        (lambda: Site("neuron", 0, 3), r"neuron 0\.3 needs a tuple"),
        (lambda: Site("neuron", 0, ()), "needs a tuple of neurons"),
        (lambda: Site("mlp", 0, 1), r"mlp 0\.1 takes no index"),
        (lambda: Site("pattern", 0), "site kind 'pattern' is not one of"),
        (lambda: Site("mlp", -1), "there is no layer -1"),
        (
            lambda: edits.zero_ablation(Site("mlp", 0), "last"),
            "got positions 'last', expected one of",
        ),
    ],
)
def test_what_cannot_be_edited_is_said(make, message):
    with pytest.raises(EditError, match=message):
        make()


def test_names_say_edit_and_site():
    assert str(edits.zero_ablation(Site("head", 3, 1))) == "zero ablation of head 3.1"
    many = Site("neuron", 2, tuple(range(9)))
    assert str(edits.patch_from(many)) == "patch from counterfactual of neuron 2.0,1,2,3,…"
