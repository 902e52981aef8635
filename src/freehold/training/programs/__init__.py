"""Programs that answer: learnt as a list of rules, or written by a model and mended by what they get wrong."""
