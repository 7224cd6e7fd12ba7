"""More from the labels already bought: generated labels, complementary labels, made features, varied texts."""
