"""What is done otherwise than in the two papers whose experiments the laboratory follows.

Kalibhat et al. is arXiv:2010.02350, and Chen et al. is arXiv:2106.00134. What holds for one model,
one family or one method is on its card; what holds for all runs is here.
"""

# Sentences for people, which end in their source. Options are in backticks.
OF_ALL_RUNS = (
    "Only kernels are pruned; the drafts prune biases, and the weights and statistics of batch "
    "normalization, too (drafts of Kalibhat et al.).",
    "Kernels of dense layers are pruned; the authors prune those of convolutions alone, as "
    "`skip_dense` does (code of Chen et al.).",
    "Weights begin as Keras draws them; the drafts leave PyTorch's defaults, whose kernels "
    "`initializer` pytorch draws (drafts of Kalibhat et al.).",
    "Adam has no L2 penalty; the drafts add one of 1e-5 to the gradient. Adam scales it with the "
    "gradient, so that weights which get no gradient decay at the full rate, and that would change "
    "the magnitudes which are ranked (drafts of Kalibhat et al.).",
    "Learning rates, epochs, batch sizes and sizes of codes are of drafts or chosen here, as the "
    "paper does not give them; trainings are shorter than those of the drafts where a CPU has to "
    "do them (drafts of Kalibhat et al.).",
    "Images are resized, and not cropped or flipped at random; the drafts crop at random, which "
    "moves images that are not of that size (drafts of Kalibhat et al.).",
    "Validation images are taken from the training images of a data set that has none, and a part "
    "of the training images is kept for the classifier behind the metrics; the authors train on "
    "all of them (drafts of Kalibhat et al., code of Chen et al.).",
    "A Frechet distance is to held-out real images, and not to the images that were trained on "
    "(drafts of Kalibhat et al., code of Chen et al.).",
    "Without `inception` the features are those of a classifier of the data set, so that values "
    "are not FIDs and cannot be compared with the papers' (Kalibhat et al., sec. 3.2).",
    "The last evaluation of a training decides, not the best one (code of Chen et al.).",
    "How much worse than the dense network a winning ticket may be, 10 % by default, is chosen "
    "here, and so are the tests: the paper asks for a significant difference from the random "
    "ticket, and names neither (Kalibhat et al., sec. 3.1).",
    "The rule by which a training could have stopped early is chosen here, as the paper shows such "
    "steps without one (Kalibhat et al., fig. 2).",
)


def departures(family, model, method) -> dict[str, list[str]]:
    """Return what is done otherwise than in the papers, in sentences.

    Args:
        family: the `Family` of the model.
        model: the `ModelCard`.
        method: the class of the method, or an instance.

    Returns:
        Sentences under "all runs", and under the names of the family, the model and the method.
    """
    cards = (("family", family), ("model", model), ("method", method))
    found = {"all runs": list(OF_ALL_RUNS)}
    found |= {f"{kind} {card.name}": list(card.departures) for kind, card in cards}
    return {where: sentences for where, sentences in found.items() if sentences}
