"""The label-generating GAN of the second article, in the space of the pool's embeddings."""
