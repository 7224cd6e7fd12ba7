"""Which labels to buy next, and learning from what they brought."""
