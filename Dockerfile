# Holds every driver: Modbus, SunSpec, Shelly, MQTT, SMA speedwire, and the libraries of P1 and M-Bus.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.txt ./
RUN python -m venv /opt/helianthus && /opt/helianthus/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
RUN /opt/helianthus/bin/pip install --no-cache-dir 'setuptools>=77' && \
    /opt/helianthus/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /data helianthus
COPY --from=build /opt/helianthus /opt/helianthus
ENV PATH=/opt/helianthus/bin:$PATH CSMS_DATA_DIR=/data CSMS_LOG_FORMAT=json PYTHONUNBUFFERED=1
USER helianthus
WORKDIR /data
VOLUME /data
EXPOSE 9000 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD \
    python -c "import os, ssl, urllib.request as web; \
    scheme = 'https' if os.getenv('CSMS_WEB_TLS_CERT') else 'http'; \
    port = os.getenv('CSMS_WEB_PORT') or 8080; \
    web.urlopen(f'{scheme}://127.0.0.1:{port}/healthz', timeout=4, context=ssl._create_unverified_context())"
CMD ["csms", "serve"]
