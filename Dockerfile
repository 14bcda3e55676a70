# One image for the services and the `mbus` command; what runs is the container's command.
FROM python:3.13-slim

# Where packages come from, for a mirror of your own: --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL

ENV PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app

COPY requirements.txt .
RUN pip install --require-hashes --no-cache-dir --disable-pip-version-check --root-user-action=ignore -r requirements.txt

COPY shared shared
COPY services services
COPY cli cli
COPY benchmarks benchmarks
# Readable also when the checkout is not; compiled now, because the file system is read-only when it runs.
RUN chmod -R a+rX . && python -m compileall -q shared services cli

# A number, so that an orchestrator can see that it is not root.
USER 10001:10001

CMD ["python", "-m", "cli", "--help"]
