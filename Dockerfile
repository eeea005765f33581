# Two images from one file: `service` (API and workers that ask and curate; no torch) and `trainer` (students, on a GPU).
FROM python:3.11-slim-trixie AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 RETORT_DATA_DIR=/data
WORKDIR /app
RUN useradd --create-home --uid 10001 retort && mkdir /data && chown retort /data
# For the verifier `code`. A runtime that forbids user namespaces forbids bubblewrap too: the answers are then abstained
# on as `sandbox_unavailable`, and `retort doctor` says so. Postgres' client is for `retort backup`; Debian's is of the
# same version as the server in docker-compose.yml, which pg_dump must not be older than.
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements requirements

FROM base AS trainer
RUN pip install --no-deps -r requirements/gpu.txt
COPY . .
RUN pip install --no-deps .
USER retort
VOLUME /data
CMD ["retort", "worker", "--kinds", "train"]

FROM base AS service
RUN pip install --no-deps -r requirements/service.txt
COPY . .
RUN pip install --no-deps .
USER retort
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
CMD ["retort", "up", "--host", "0.0.0.0", "--workers", "0"]
