"""Scales, ticks and labels of the plots stand where arithmetic puts them."""

import pytest

from evaluation.report import plot
from evaluation.report.markup import Html, join, number, tag


def test_scales_map_ends_and_middle():
    """A linear scale has its mean in the middle, a log scale its geometric mean."""
    linear = plot.Scale(0, 10, 100, 200)
    log = plot.Scale(1, 100, 0, 50, is_log=True)

    assert [linear(value) for value in (0, 5, 10)] == [100, 150, 200]
    assert [log(value) for value in (1, 10, 100)] == pytest.approx([0, 25, 50])
    assert plot.Scale(3, 3, 7, 9)(3) == 7


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0.62, 0.74, [0.625, 0.65, 0.675, 0.7, 0.725]),
        (0, 43, [0, 10, 20, 30, 40]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    """Steps are 1, 2, 2.5 or 5 times a power of ten, within the range."""
    assert plot.list_ticks(low, high) == pytest.approx(ticks)


def test_log_ticks_are_denser_where_the_range_is_short():
    """Within a decade more than one, over several the powers of ten."""
    assert plot.list_log_ticks(2.5, 13) == pytest.approx([3, 4, 6, 8, 10])
    assert plot.list_log_ticks(4, 120) == pytest.approx([5, 10, 20, 50, 100])
    assert plot.list_log_ticks(0.5, 5000) == pytest.approx([1, 10, 100, 1000])


def test_a_range_without_width_is_widened():
    """Equal values get a range around them, zeros too."""
    assert plot.pad(0.5, 0.5) == pytest.approx((0.45, 0.55))
    assert plot.pad(0, 0) == (-0.05, 0.05)


def test_labels_do_not_cover_each_other():
    """Neighbours are a line apart, in the order of their points; far ones stay."""
    spread = plot.spread([10, 11, 90], 15)

    assert spread[1] - spread[0] >= 15
    assert spread[2] > spread[1]
    assert plot.spread([20, 20, 20], 15, least=16) == [16, 31, 46]
    assert plot.place_labels([(0, 10), (5, 12), (300, 12)], [50, 50, 50], 15) == [10, 25, 12]


def test_names_are_shortened_in_the_middle():
    """Beginning and end stay, as that is where runs' names differ."""
    assert plot.fit("bm25", 100) == "bm25"
    short = plot.fit("bm25-title-rerank-100", 64)
    assert (short[:4], short[-2:], len(short)) == ("bm25", "00", 10)


def test_markup_escapes_all_that_is_not_markup():
    """Children and attributes are escaped, markup is not escaped again."""
    inner = tag("b", "<&>\"'")

    assert inner == "<b>&lt;&amp;&gt;&quot;&#x27;</b>"
    assert isinstance(inner, Html)
    assert tag("p", inner, None, title='"', hidden=True, open=False, aria_label=None) == (
        f'<p title="&quot;" hidden>{inner}</p>'
    )
    assert join("a\x00b\ud800") == "a\ufffdb\ufffd"
    assert (number(1.0), number(-0.001), number(2.346)) == ("1", "0", "2.35")
