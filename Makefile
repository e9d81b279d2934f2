# Bootstrap only: finds `uv`, or installs it into ./.uv, and hands over. Tasks live in pyproject.toml.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)

.PHONY: demo test

demo: $(UV)
	$(UV) run --extra demo --extra student inbond demo

test: $(UV)
	$(UV) run --all-extras poe check

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv
