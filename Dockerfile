# Latchkey as an image: docs/running.md says what it needs. Two stages: nothing that builds is in it.
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bot bot
COPY engine engine
COPY manifests manifests
COPY storage storage
RUN python -m venv /opt/latchkey \
    && /opt/latchkey/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/latchkey /opt/latchkey
# For SQLite: a folder where nobody else can write. With PostgreSQL nothing is kept here.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin latchkey \
    && install --directory --owner latchkey --group latchkey --mode 700 /var/lib/latchkey
ENV PATH=/opt/latchkey/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    LATCHKEY_DATABASE_URL=sqlite:////var/lib/latchkey/latchkey.db \
    LATCHKEY_MANIFESTS=/etc/latchkey \
    LATCHKEY_PROBES=0.0.0.0:8081
WORKDIR /var/lib/latchkey
USER 10001:10001
VOLUME /var/lib/latchkey
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s --interval=10s --timeout=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/healthz', timeout=4)"]
ENTRYPOINT ["latchkey"]
CMD ["run"]
