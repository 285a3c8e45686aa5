import types

from tf_tickets.lab.commands import reproduce
from tf_tickets.lab.papers import PAPERS


def test_list_names_figures_scales_and_claims_without_tensorflow(ended_early, capsys, monkeypatch):
    def load(*_, **__):
        raise AssertionError("TensorFlow is about to be loaded")

    monkeypatch.setattr(reproduce, "start_tensorflow", load)
    monkeypatch.setattr("sys.argv", ["reproduce.py", "kalibhat2021", "--list"])
    reproduce.main()
    shown = capsys.readouterr().out
    paper = PAPERS["kalibhat2021"]
    for part in (*paper.exhibits, *paper.scales, *paper.claims):
        assert f"  {part.name} " in shown


def test_what_cannot_be_made_is_refused_before_tensorflow_is_loaded(refused):
    refused(reproduce, ["kalibhat2021"], "Name a figure or table of kalibhat2021, or give --all")
    refused(reproduce, ["kalibhat2021", "figure-99"], "kalibhat2021 has no 'figure-99'")
    refused(reproduce, ["kalibhat2021", "--all", "--scale", "huge"], "has no scale 'huge'")
    refused(reproduce, ["someone2020", "--all"], "invalid choice: 'someone2020'")
    refused(
        reproduce,
        ["kalibhat2021", "--all", "--flops-per-second", "0"],
        "--flops-per-second: must be above 0",
    )


def test_the_asked_exhibits_are_made_where_and_as_large_as_asked(monkeypatch, capsys):
    from tf_tickets.lab.papers import reproduce as made

    calls = []

    def stand_in(paper, scale, exhibits, output, make, drawn):
        calls.append((paper.name, scale.name, [e.name for e in exhibits], output))
        drawn(exhibits[0])
        return types.SimpleNamespace(findings={}, folder="there")

    monkeypatch.setattr(made, "reproduce", stand_in)
    monkeypatch.setattr(reproduce, "start_tensorflow", lambda *_, **__: None)
    words = ["kalibhat2021", "figure-4", "table-1", "--scale", "smoke", "--output", "runs"]
    monkeypatch.setattr("sys.argv", ["reproduce.py", *words])
    reproduce.main()
    assert calls == [("kalibhat2021", "smoke", ["figure-4", "table-1"], "runs")]
    assert "Drawn: Figure 4: autoencoders" in capsys.readouterr().out
