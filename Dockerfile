# The locked environment, for every service of compose.yaml that is written in Python.
FROM python:3.12.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 onestep \
    && install --directory --owner onestep /var/lib/onestep /var/lib/prefect

WORKDIR /opt/onestep
COPY Makefile pyproject.toml README.md LICENSE requirements*.lock ./
COPY configs configs
COPY flows flows
COPY onestep onestep
COPY tasks tasks

# An index with CPU wheels of PyTorch; without one, the build with CUDA.
ARG TORCH_INDEX=
RUN make install-server TORCH_INDEX="$TORCH_INDEX" && rm -rf /root/.cache

ENV PATH=/opt/onestep/.venv/bin:$PATH ONESTEP_HOME=/var/lib/onestep
USER onestep
WORKDIR /pipelines
CMD ["onestep", "--help"]
