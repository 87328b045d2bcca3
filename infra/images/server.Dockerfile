# Prefect and MLflow servers: no torch, no data.
FROM python:3.11.11-slim-bookworm
RUN useradd --create-home --uid 1000 bertops \
    && install -d -o bertops -g bertops /var/lib/prefect
WORKDIR /app
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt prefect fastapi mlflow asyncpg "psycopg[binary]" flask-wtf boto3
COPY infra ./infra
USER bertops
ENV PYTHONPATH=/app
