FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN python -m venv /opt/pointsman \
    && /opt/pointsman/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && /opt/pointsman/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/pointsman pointsman
COPY --from=build /opt/pointsman /opt/pointsman
USER 10001
WORKDIR /var/lib/pointsman
# The configuration is mounted read-only, so data does not lie beside it; and a container is reached from outside.
ENV PATH=/opt/pointsman/bin:$PATH PYTHONUNBUFFERED=1 POINTSMAN_LISTEN=:8080 POINTSMAN_DATA_DIR=/var/lib/pointsman/data
VOLUME /var/lib/pointsman
EXPOSE 8080 8081
ENTRYPOINT ["pointsman"]
CMD ["serve", "--config", "/etc/pointsman/pointsman.yaml"]
