"""What a network, a training and its pruning cost: operations, memory and time."""
