"""What an operator may say: models, inheritance, difference, validation, defaults. Pure."""
