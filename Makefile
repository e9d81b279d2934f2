# Bootstrap only: finds `uv`, or installs it into ./.uv, and hands over. Tasks live in pyproject.toml.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)

# Where compiled modules may not be kept, each of the hundreds of processes of tests and demo compiles
# everything anew: 4.6 s of CPU for a worker instead of 1.4.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test

demo: $(UV)
	$(UV) run --extra demo --extra student inbond demo

test: $(UV)
	$(UV) run --all-extras poe check

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv
