"""The report of the theory prints every claim and draws the picture."""

import pytest

from ilvf.reports import theory, variance


@pytest.fixture
def few_games(monkeypatch):
    monkeypatch.setattr(theory, "RANDOM_GAMES", 4)
    monkeypatch.setattr(variance, "POLICIES", 2)


def test_every_claim_is_printed_and_drawn(few_games, tmp_path, capsys):
    picture = tmp_path / "new" / "variance.png"
    theory.write_report(picture, agents=[2, 3])
    text = capsys.readouterr().out
    assert "wrong in 0 of 16 games" in text.splitlines()[0]
    for words in ("Lemma 1", "Theorem 2", "Variance, chain, 3 agents", f"picture: {picture}"):
        assert words in text
    assert picture.stat().st_size > 10_000


def test_the_picture_shows_variance_above_and_bias_below():
    """With minimal sets there is no bias; the ends of the family are the numbers of the games."""
    points = variance.variance_and_bias("chain", [2, 3])
    figure = variance.draw_variance({"chain": points}, [2, 3])
    above, below = figure.axes
    minimal = below.lines[0]
    assert minimal.get_label() == "minimal set (ILVF)"
    assert max(abs(minimal.get_ydata())) < 1e-10
    own = dict(zip((line.get_label() for line in below.lines), below.lines, strict=True))
    assert min(own["own return only"].get_ydata()) > 0.1
    assert above.lines[0].get_xdata().tolist() == [2, 3]
    assert [above.get_ylabel(), below.get_xlabel()] == [
        "variance of the gradient",
        "number of agents",
    ]
