import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.lab.show.figures import discriminator_loss


def test_it_is_drawn_of_a_gan_with_the_ticket_marked(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        discriminator_loss,
        "metric_against_sparsity",
        lambda *arguments, **options: drawn.append((arguments, options)),
    )
    run = make_run(
        tmp_path, rounds=3, collapse=2.0, spread=0.02, gan=True, pictures=False, arm="transferred"
    )
    discriminator_loss.FIGURE.draw(run, tmp_path / "x.png")
    ((arguments, options),) = drawn
    assert arguments == (run.records, "discriminator_loss", tmp_path / "x.png")
    assert options["arm"] == "transferred" and options["marked_round"] == 3
    assert options["subject"] == "vae on digits, tickets of dcgan"


@pytest.mark.parametrize("gan", [True, False])
def test_only_a_gan_has_one(tmp_path, gan):
    run = make_run(tmp_path, rounds=1, seeds=1, gan=gan, pictures=False)
    assert discriminator_loss.FIGURE.applies(run) == gan
