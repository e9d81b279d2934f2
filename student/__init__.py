"""The trainer: it reads sealed datasets only."""
