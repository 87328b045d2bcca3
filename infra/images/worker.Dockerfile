# A worker for the pool `cpu`. The project itself is a checkout in /project, shared with nobody.
FROM python:3.11.11-slim-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 bertops \
 && install -d -o bertops /project
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bertops ./bertops
COPY flows ./flows
COPY infra/images/checkout.sh ./infra/images/
RUN pip install --no-cache-dir -c constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu ".[flows,remotes,kubernetes]"
USER bertops
WORKDIR /project
