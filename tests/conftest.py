"""What holds for every test."""

import pytest_randomly

# A library of the extra `detectors` asks to seed torch before every test: nothing here draws from it.
pytest_randomly.entrypoint_reseeds = []
