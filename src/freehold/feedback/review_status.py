"""How a queue's reviewers are doing: how far each is, what gold they missed."""
