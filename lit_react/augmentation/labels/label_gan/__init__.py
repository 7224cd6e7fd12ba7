"""The label-generating GAN of seed 2, in the space of the pool's embeddings."""
