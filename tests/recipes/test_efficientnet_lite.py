import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.training.network import build_network, layer_depths
from recipes.efficientnet_lite import build_efficientnet_lite

# EfficientNet-Lite0: (input, expanded, output) channels and kernel of its 16 blocks.
_LITE0 = [
    (32, 32, 16, 3),
    *[(16, 96, 24, 3), (24, 144, 24, 3)],
    *[(24, 144, 40, 5), (40, 240, 40, 5)],
    *[(40, 240, 80, 3), (80, 480, 80, 3), (80, 480, 80, 3)],
    *[(80, 480, 112, 5), (112, 672, 112, 5), (112, 672, 112, 5)],
    *[(112, 672, 192, 5), (192, 1152, 192, 5), (192, 1152, 192, 5), (192, 1152, 192, 5)],
    (192, 1152, 320, 3),
]


def draw_weights():
    """Draw a state dictionary with the names and shapes of the published one."""
    rng = np.random.default_rng(0)
    weights = {}

    def add(convolution, norm, shape):
        fan_in = np.prod(shape[1:])
        weights[f"{convolution}.weight"] = rng.normal(0, fan_in**-0.5, shape).astype(np.float32)
        for part in ("weight", "running_var"):
            weights[f"{norm}.{part}"] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)
        for part in ("bias", "running_mean"):
            weights[f"{norm}.{part}"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)
        weights[f"{norm}.num_batches_tracked"] = np.array(1)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    for i, (inputs, expanded, outputs, kernel) in enumerate(_LITE0):
        block = f"_blocks.{i}"
        if expanded != inputs:
            add(f"{block}._expand_conv", f"{block}._bn0", (expanded, inputs, 1, 1))
        add(f"{block}._depthwise_conv", f"{block}._bn1", (expanded, 1, kernel, kernel))
        add(f"{block}._project_conv", f"{block}._bn2", (outputs, expanded, 1, 1))
    add("_conv_head", "_bn1", (1280, 320, 1, 1))
    weights["_fc.weight"], weights["_fc.bias"] = np.zeros((1000, 1280)), np.zeros(1000)
    return weights


@pytest.fixture(scope="module")
def backbone():
    return build_efficientnet_lite(draw_weights())


def test_backbone_takes_the_place_of_mobilenet(backbone, tmp_path):
    backbone.save(tmp_path / "lite0.keras")
    network = build_network(3, backbone_weights=tmp_path / "lite0.keras")
    assert network.get_layer("sequence").output.shape == (None, 49, 1280)
    # Without its classifier, EfficientNet-Lite0 has 4,652,008 - 1,281,000 weights to train.
    n_trainable = sum(int(np.prod(w.shape)) for w in backbone.trainable_weights)
    assert n_trainable == 3_371_008


def test_stages_are_told_apart_like_those_of_mobilenet(backbone):
    depths = layer_depths(backbone)
    path = ["Conv1", "block_0_depthwise", "block_1_expand", "block_15_project", "Conv_1"]
    assert [depths[name] for name in path] == [17, 17, 16, 2, 1]


def test_convolutions_land_where_the_names_say(backbone):
    # Of a black picture the stem is its normalisation's shift alone.
    weights = draw_weights()
    import keras

    stem = keras.Model(backbone.input, backbone.get_layer("bn_Conv1").output)
    shift = weights["_bn0.bias"] - weights["_bn0.weight"] * weights["_bn0.running_mean"] / np.sqrt(
        weights["_bn0.running_var"] + 1e-3
    )
    black = np.zeros((1, 224, 224, 3), np.float32)
    np.testing.assert_allclose(stem.predict_on_batch(black)[0, 50, 50], shift, atol=1e-5)
    kernel = backbone.get_layer("block_4_depthwise").get_weights()[0]
    expected = weights["_blocks.4._depthwise_conv.weight"]
    np.testing.assert_array_equal(kernel[1, 2, 7, 0], expected[7, 0, 1, 2])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("_conv_head.weight"), "lack _conv_head.weight"),
        (lambda w: w.update({"extra.weight": np.zeros(1)}), "no place for"),
        (lambda w: w.update({"_blocks.16.x": np.zeros(1)}), "17 blocks"),
    ],
)
def test_other_weights_are_refused_with_the_reason(change, reason):
    weights = draw_weights()
    change(weights)
    with pytest.raises(ModelBundleError, match=reason):
        build_efficientnet_lite(weights)
