"""Channel masks: which scales are kept."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_tickets as tt
from tf_tickets.names import variable_names


def network(*widths, residual=False):
    """Return convolutions with normalisations named bn0, bn1, ... and a last one without."""
    inputs = keras.Input((4, 4, 2))
    x = inputs
    for number, width in enumerate(widths):
        y = layers.Conv2D(width, 1, name=f"conv{number}")(x)
        y = layers.BatchNormalization(name=f"bn{number}")(y)
        x = layers.Add()([x, y]) if residual and number else y
    return keras.Model(inputs, layers.Conv2D(1, 1, name="last")(x), name="network")


def set_scales(model, *scales):
    for number, values in enumerate(scales):
        model.get_layer(f"bn{number}").gamma.assign(values)


def test_the_smallest_scales_of_all_layers_go():
    model = network(3, 2)
    set_scales(model, [0.1, -0.9, 0.3], [0.2, 0.8])
    masks = tt.channel_masks(model, 0.6)
    assert {path: mask.tolist() for path, mask in masks.items()} == {
        "bn0/gamma": [False, True, False],
        "bn1/gamma": [False, True],
    }


def test_no_layer_is_emptied():
    model = network(3, 3)
    set_scales(model, [0.1, 0.2, 0.3], [1, 2, 3])
    masks = tt.channel_masks(model, 0.5)
    assert masks["bn0/gamma"].tolist() == [False, False, True]
    assert masks["bn1/gamma"].tolist() == [False, True, True]


def test_each_layer_by_itself_keeps_the_same_part():
    model = network(4, 4, 1)
    set_scales(model, [0.1, 0.4, 0.2, 0.3], [4, 1, 2, 3], [0.01])
    masks = tt.channel_masks(model, 0.75, pool="layer")
    assert [mask.tolist() for mask in masks.values()] == [
        [False, True, False, False],
        [True, False, False, False],
        [True],  # by itself no layer is emptied
    ]


def test_each_network_of_a_gan_by_itself():
    gan = tt.models.build("dcgan-shared", (16, 16, 3), width=4)
    for path, gamma in variable_names(gan).items():
        if gamma.name == "gamma":
            gamma.assign(gamma * (1 if path.startswith("generator") else 0.1))
    masks = tt.channel_masks(gan, 0.5, pool="component")
    for name in ("generator", "discriminator"):
        of_network = [mask for path, mask in masks.items() if path.startswith(name)]
        assert np.mean(np.concatenate(of_network)) == 0.5


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 70])
def test_out_of_range_is_refused_by_layer_too(sparsity):
    with pytest.raises(tt.SettingError, match="sparsity"):
        tt.channel_masks(network(3, 3), sparsity, pool="layer")


def test_an_unknown_pool_is_refused():
    with pytest.raises(tt.SettingError, match="`pool` must be one of model, component, layer"):
        tt.channel_masks(network(3, 3), 0.5, pool="global")


def test_channels_with_several_scales_go_only_as_whole_groups_by_their_mean():
    model = network(2, 2, residual=True)
    set_scales(model, [0.1, 0.6], [0.8, 0.1])
    with pytest.raises(tt.SettingError, match="whole_groups=True"):
        tt.channel_masks(model, 0.5)
    masks = tt.channel_masks(model, 0.5, whole_groups=True)
    assert [mask.tolist() for mask in masks.values()] == [[True, False], [True, False]]


def test_a_ranking_can_be_asked_again():
    model = network(2, 2)
    ranking = tt.ChannelRanking(model)
    assert ranking.num_channels == 4
    set_scales(model, [1, 2], [3, 4])
    assert ranking.masks(0.25)["bn0/gamma"].tolist() == [False, True]
    set_scales(model, [4, 3], [2, 1])
    assert ranking.masks(0.25)["bn1/gamma"].tolist() == [True, False]


def test_both_networks_of_a_gan_are_ranked_together():
    model = tt.models.build("dcgan-table2", (32, 32, 3), width=4)
    masks = tt.channel_masks(model, 0.5)
    assert {path.split("/")[0] for path in masks} == {"generator", "discriminator"}
    assert masks.num_kept == round(0.5 * masks.size)


def test_a_model_without_normalisation_is_refused():
    model = tt.models.build("conv-ae", (32, 32, 3), width=2)
    with pytest.raises(tt.SettingError, match="by='norm' instead, or add BatchNorm"):
        tt.channel_masks(model, 0.5)


def test_a_model_whose_every_channel_is_needed_is_refused_with_the_reason():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization()(layers.Conv2D(3, 1)(inputs))
    with pytest.raises(tt.SettingError, match="it is an output of the network"):
        tt.channel_masks(keras.Model(inputs, x), 0.5)


def test_a_subclassed_model_is_refused():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization()

        def call(self, x):
            return self.norm(x)

    model = Subclassed()
    model(np.zeros((1, 2), "float32"))
    with pytest.raises(tt.SettingError, match="Functional or Sequential"):
        tt.channel_masks(model, 0.5)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 70])
def test_a_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(tt.SettingError, match=r"must be in \[0, 1\)"):
        tt.channel_masks(network(4), sparsity)


def test_a_scale_that_is_not_a_number_is_refused():
    model = network(2)
    set_scales(model, [np.nan, 1])
    with pytest.raises(tt.DivergedError, match="bn0/gamma"):
        tt.channel_masks(model, 0.5)


# --- by norm and by Taylor terms


def plain(*widths, residual=False):
    """Return dense layers without normalisations, named dense0, dense1, ..., and one more."""
    x = inputs = keras.Input((2,))
    for number, width in enumerate(widths):
        y = layers.Dense(width, "relu", name=f"dense{number}")(x)
        x = layers.Add()([x, y]) if residual and number else y
    return keras.Model(inputs, layers.Dense(1, use_bias=False, name="last")(x), name="network")


def test_the_channels_of_the_smallest_norms_go():
    model = plain(3)
    model.get_layer("dense0").kernel.assign([[3, 0.1, 1], [4, 0.1, 1]])
    model.get_layer("dense0").bias.assign([0, 1, 0])
    model.get_layer("last").kernel.assign([[0.1], [1], [0.1]])
    # Squares: 25 and .01, 1.02 and 1, 2 and .01; the means of both layers 12.5, 1.01, 1.0.
    masks = tt.channel_masks(model, 1 / 3, by="norm")
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "dense0/kernel": [True, True, False]
    }
    assert tt.channel_masks(model, 2 / 3, by="norm")["dense0/kernel"].tolist() == [
        *(True, False, False)
    ]


def test_norms_of_two_layers_compare_by_their_means():
    model = plain(2, 2)
    for number, size in enumerate((1, 100)):
        model.get_layer(f"dense{number}").kernel.assign(np.diag([size, 3 * size]))
    model.get_layer("last").kernel.assign([[100], [300]])
    masks = tt.channel_masks(model, 0.5, by="norm")
    assert [mask.tolist() for mask in masks.values()] == [[False, True], [False, True]]


def test_a_channel_that_several_kernels_make_goes_as_a_whole_group_alone():
    model = plain(2, 2, residual=True)
    with pytest.raises(tt.SettingError, match="whole_groups=True"):
        tt.channel_masks(model, 0.5, by="norm")
    model.get_layer("dense1").kernel.assign([[5, 0.1], [5, 0.1]])
    masks = tt.channel_masks(model, 0.5, whole_groups=True, by="norm")
    assert [mask.tolist() for mask in masks.values()] == [[True, False], [True, False]]


def test_the_channels_that_a_loss_hangs_on_least_go():
    model = plain(3)
    model.get_layer("dense0").kernel.assign([[3, 2, 1], [0, 0, 0]])
    model.get_layer("last").kernel.assign([[0.1], [1], [3]])
    x = np.array([[1.0, 0.0]], "float32")
    # The loss is 3 * .1 + 2 * 1 + 1 * 3: the first channel gives the least, and has the most.
    masks = tt.channel_masks(model, 1 / 3, by="taylor", losses=[lambda: keras.ops.sum(model(x))])
    assert masks["dense0/kernel"].tolist() == [False, True, True]
    assert tt.channel_masks(model, 1 / 3, by="norm")["dense0/kernel"].tolist() == [
        *(True, False, True)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "size"}, "`by` must be one of scale, norm, taylor. Received: 'size'"),
        ({"by": "taylor"}, "`losses` are for by='taylor', which needs one function or more"),
        ({"losses": [lambda: 0.0]}, "`losses` are for by='taylor'"),
    ],
)
def test_rankings_that_cannot_be_are_refused(options, message):
    with pytest.raises(tt.SettingError, match=message):
        tt.channel_masks(plain(3), 0.5, **options)


def test_a_weight_that_is_not_a_number_is_refused():
    model = plain(3)
    model.get_layer("last").kernel.assign([[1], [np.nan], [1]])
    with pytest.raises(tt.DivergedError, match="dense0/kernel"):
        tt.channel_masks(model, 0.5, by="norm")


class Two(keras.Model):
    """Two networks, as the examples of Keras hold them: nothing says how they are called."""

    def __init__(self):
        super().__init__(name="two")
        self.first, self.second = plain(3), plain(4)


def test_what_has_no_graph_is_told_from_what_is_not_built():
    with pytest.raises(tt.SettingError, match=r"of two cannot be followed.*parts one by one"):
        tt.channel_masks(Two(), 0.5, by="norm")
    with pytest.raises(tt.SettingError, match="late is not built, so it has no channels yet"):
        tt.channel_masks(keras.Sequential([layers.Dense(3)], name="late"), 0.5, by="norm")


def test_nothing_that_filters_make_may_go():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(2, name="only")(inputs))
    with pytest.raises(tt.SettingError, match="it is an output of the network"):
        tt.channel_masks(model, 0.5, by="norm")


def test_channels_that_are_lifted_off_zero_stay_and_say_so():
    inputs = keras.Input((2,))
    x = layers.Dense(3, "sigmoid", name="lifted")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(tt.SettingError, match="sigmoid of lifted makes something else than zero"):
        tt.channel_masks(model, 0.5, by="norm")
