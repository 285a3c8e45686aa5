"""The searches of the paper, and what its texts call models and data."""

from tf_tickets.lab.papers.paper import Study

TITLES = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "celeb_a": "Celeb-A",
    "linear-ae": "Linear AE",
    "conv-ae": "Conv AE",
    "vae": "VAE",
    "beta-vae": "beta-VAE",
    "resnet-vae": "ResNet-VAE",
    "dcgan": "DCGAN",
    "resnet-dcgan": "ResNet-DCGAN",
    "sngan": "SNGAN",
    "wgan": "WGAN",
}
AUTOENCODERS = (("linear-ae", "mnist"), ("conv-ae", "cifar10"), ("conv-ae", "celeb_a"))
VAES = ("vae", "beta-vae", "resnet-vae")
GANS = ("dcgan", "resnet-dcgan", "sngan", "wgan")
LARGE = ("cifar10", "celeb_a")

DCGAN = Study("dcgan", "cifar10")
DCGAN_ALONE = Study("dcgan", "cifar10", arms=("winning",))  # for curves without a control
ONE_SHOT, TO_STEP_0 = DCGAN_ALONE.but(one_shot=True), DCGAN_ALONE.but(rewind_step=0)
TO_A_SHARE = DCGAN_ALONE.but(rewind_share=0.05)
DCGAN_ON_FACES = Study("dcgan", "celeb_a")
TO_GAN = Study("dcgan-shared", "cifar10", "transfer", source=Study("vae", "cifar10"))
TO_VAE = Study("vae", "cifar10", "transfer", source=Study("dcgan-shared", "cifar10"))
STOPPED = (Study("conv-ae", "cifar10"), Study("vae", "cifar10"), DCGAN)


def name_of(study: Study) -> str:
    """Return what the model and the data of a study are called in titles."""
    return f"{TITLES[study.model]} on {TITLES[study.dataset]}"


def with_component(study: Study, component: str) -> Study:
    """Return the search that prunes one component alone; its own control is in no figure."""
    return Study(study.model, study.dataset, arms=("winning",)).but(component=component)
