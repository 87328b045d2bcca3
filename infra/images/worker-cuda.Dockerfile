# A worker for the pool `gpu`. torch brings its own CUDA libraries; the host brings the driver.
FROM python:3.11.11-slim-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 bertops \
 && install -d -o bertops /project
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bertops ./bertops
COPY flows ./flows
COPY infra/images/checkout.sh ./infra/images/
RUN pip install --no-cache-dir -c constraints.txt ".[flows,remotes]"
USER bertops
WORKDIR /project
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
