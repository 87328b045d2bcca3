# Prefect and MLflow servers: no torch, no data.
# Base images are pinned by tag: a digest cannot be looked up where these files are tested. To pin the
# bytes as well, append what `docker buildx imagetools inspect` tells: python:3.11.11-...@sha256:...
FROM python:3.11.11-slim-bookworm
RUN useradd --create-home --uid 1000 bertops \
    && install -d -o bertops -g bertops /var/lib/prefect
WORKDIR /app
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt prefect fastapi \
    sqlalchemy mlflow asyncpg "psycopg[binary]" flask-wtf boto3
COPY infra/health.py ./infra/
COPY infra/images/mlflow.sh ./infra/images/
USER bertops
ENV PYTHONPATH=/app
