import subprocess

import pytest

from tf_tickets.lab import description, recipes
from tf_tickets.lab.description import commit, describe


def test_dcgan_is_described_beside_the_paper():
    described = describe(recipes.resolve("dcgan", "cifar10"), "generator")
    prunable, flops = described.pop("prunable"), described.pop("flops")
    assert described == {
        "params": 6_512_196,
        "components": {"generator": 3_576_323, "discriminator": 2_935_873},
        "paper": {"dataset": "cifar10", "params": 6_500_000},
        "options": {
            **{"width": 64, "latent_dim": 100, "spectral": False, "slope": 0.2},
            **{"loss": "non_saturating", "critic_steps": 1, "ema_decay": None},
            **{"clip_weights": None, "gradient_penalty": 0.0},
            **{"generator_batch_factor": 1, "initializer": "keras"},
        },
    }
    # Less biases and batch norms: three numbers for each of the 960 filters, and one for a pixel.
    assert prunable == 3_576_323 - 3 * 960 - 3
    # Twice the millions of multiplications, and hardly more for biases and batch norms.
    assert flops == pytest.approx(
        {"generator": 2 * 103.3e6, "discriminator": 2 * 108.7e6}, rel=5e-3
    )


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder under version control, in which the package seems to lie."""
    file = tmp_path / "tf_tickets" / "lab" / "description.py"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    monkeypatch.setattr(description, "__file__", str(file))

    def git(*words):
        who = ["-c", "user.name=A", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    return file, git


def test_the_commit_of_a_checkout(checkout):
    file, git = checkout
    assert commit() is None, "it was installed"
    git("init")
    assert commit() is None, "nothing is committed yet"
    git("add", "."), git("commit", "-m", "one")
    found = commit()
    assert len(found) == 12 and int(found, 16) >= 0
    (file.parent / "unknown.txt").write_text("x")
    assert commit() == found, "files that git does not know are no change"
    file.write_text("two")
    assert commit() == found + "+"


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    _, git = checkout
    git("init")
    monkeypatch.setenv("PATH", "")
    assert commit() is None
