# The dashboard and the REST API, without TensorFlow: docker compose up
FROM python:3.13-slim AS build
WORKDIR /project
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
RUN useradd --create-home --uid 1000 har \
    && install --directory --owner=har /data /cache
WORKDIR /home/har
COPY requirements.txt .
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint requirements.txt /wheels/*.whl
ENV HAR_DATA_DIR=/data HAR_CACHE_DIR=/cache
USER 1000
VOLUME ["/data", "/cache"]
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8501/health')"]
CMD ["har", "serve", "--host", "0.0.0.0"]
