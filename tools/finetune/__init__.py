"""Models trained on examples: datasets, their rules, and where they are trained."""
