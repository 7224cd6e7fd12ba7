"""Where texts and labels come from, what they cost, and which of them the model may see."""
