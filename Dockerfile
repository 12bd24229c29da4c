# The server with the embedded PostgreSQL, or with FHIR_SERVER_DATABASE_URL on one elsewhere.
#
#   docker build -t fhir-server .
#   docker run -p 8000:8000 -v fhir-server-data:/data fhir-server serve --demo

FROM python:3.13-slim-bookworm AS build
WORKDIR /source
RUN python -m venv /opt/fhir-server
COPY pyproject.toml README.md LICENSE ./
COPY fhir_server fhir_server
COPY profiles profiles
COPY capability capability
COPY mappings mappings
RUN /opt/fhir-server/bin/pip install --no-cache-dir --no-compile .

FROM python:3.13-slim-bookworm
# Not root: then the embedded PostgreSQL runs as this user too.
RUN useradd --system --uid 10001 --home-dir /data --create-home fhir-server
COPY --from=build /opt/fhir-server /opt/fhir-server
ENV PATH=/opt/fhir-server/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FHIR_SERVER_HOST=0.0.0.0 \
    FHIR_SERVER_DATA_DIR=/data
USER fhir-server
WORKDIR /data
VOLUME /data
EXPOSE 8000
# The embedded PostgreSQL stops cleanly within this time.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8000')}/fhir/R4/metadata\", timeout=2)"]
ENTRYPOINT ["fhir-server"]
CMD ["serve"]
