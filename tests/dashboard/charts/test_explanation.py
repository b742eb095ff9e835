import numpy as np

from dashboard.charts.explanation import explanation_figure
from har_core.model.explanation import Explanation


def draw(method):
    cells = np.arange(49, dtype=float).reshape(7, 7) / 100
    pixels = np.full((224, 224, 3), 90, np.uint8)
    return explanation_figure(pixels, Explanation("using_laptop", method, cells))


def test_hovering_names_what_hiding_a_cell_costs_in_points():
    (cells,) = draw("occlusion").data
    assert np.allclose(cells.customdata[6][6], -48)
    assert cells.name == "using laptop" and "points" in cells.hovertemplate


def test_map_lies_over_the_picture_from_the_top_left_and_fits_a_phone():
    figure = draw("gradient")
    assert figure.layout.images[0].source.startswith("data:image/jpeg;base64,")
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.width <= 350
