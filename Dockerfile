# fervid without CUDA, as a user without rights, with a volume for the cache:
#   docker build --tag fervid .
#   docker run --rm --volume "$PWD:/work" --volume fervid-cache:/cache fervid analyze movie.mp4 --timeline out.json
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY fervid/ fervid/
RUN python -m venv /opt/fervid
RUN /opt/fervid/bin/pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/fervid /opt/fervid
RUN useradd --uid 1000 --create-home fervid \
    && install --directory --owner=fervid /cache /work
ENV PATH=/opt/fervid/bin:$PATH \
    FERVID_CACHE_DIR=/cache
USER fervid
VOLUME /cache
WORKDIR /work
ENTRYPOINT ["fervid"]
CMD ["--help"]
