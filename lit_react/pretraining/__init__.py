"""Pretraining on texts without labels: masked language modelling and next-sentence prediction."""
