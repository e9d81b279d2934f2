# syntax=docker/dockerfile:1
# Two targets: `proxy` (small) and `student` (with torch). No secret and no CA is inside: a workspace is mounted.
FROM python:3.12-slim-bookworm AS build
RUN pip install --no-cache-dir uv
WORKDIR /src
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PROJECT_ENVIRONMENT=/opt/inbond UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --no-install-project
COPY policies policies
COPY proxy proxy
COPY student student
RUN uv sync --locked --no-dev --no-editable

FROM build AS build-student
RUN uv sync --locked --no-dev --no-editable --extra student

FROM python:3.12-slim-bookworm AS runtime
RUN useradd --uid 10001 --create-home inbond && install -d -o inbond /workspace
ENV PATH=/opt/inbond/bin:$PATH INBOND_WORKSPACE=/workspace PYTHONUNBUFFERED=1
USER inbond
WORKDIR /workspace
VOLUME /workspace
ENTRYPOINT ["inbond"]

FROM runtime AS student
COPY --from=build-student /opt/inbond /opt/inbond
CMD ["student", "--help"]

FROM runtime AS proxy
COPY --from=build /opt/inbond /opt/inbond
CMD ["proxy"]
