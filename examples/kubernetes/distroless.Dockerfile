# The peerdisco command alone, in an image without a shell and without a package manager.
#
#   docker build --file examples/kubernetes/distroless.Dockerfile --tag peerdisco:0.1.0 examples
#
# For a container that runs nothing else, such as an init container with "args: [wait, --quorum, '3']".
# Hooks that need a shell, and the scripts of ../shell, need the image of ./Dockerfile.
#
# In production pin both images: a digest is always the same image, a tag is not. The first two
# commands print the digests that the tags have now; the others are options of the one above.
#
#   docker buildx imagetools inspect --format '{{.Manifest.Digest}}' python:3.13-slim-trixie
#   docker buildx imagetools inspect --format '{{.Manifest.Digest}}' gcr.io/distroless/python3-debian13:nonroot
#   --build-arg BUILD=python:3.13-slim-trixie@sha256:...
#   --build-arg BASE=gcr.io/distroless/python3-debian13:nonroot@sha256:...
#
# Both have the same version of Python: another one would compile peerdisco at each start.
ARG BUILD=python:3.13-slim-trixie
ARG BASE=gcr.io/distroless/python3-debian13:nonroot
FROM $BUILD AS build

# The packages that peerdisco needs, with their hashes: one that was replaced is rejected.
COPY kubernetes/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --target /opt/peerdisco --require-hashes --requirement /tmp/requirements.txt \
    && pip install --no-cache-dir --target /opt/peerdisco --no-deps peerdisco==0.1.0 \
    && rm -r /opt/peerdisco/bin

FROM $BASE
COPY --from=build /opt/peerdisco /opt/peerdisco
ENV PYTHONPATH=/opt/peerdisco

# Python's images have no bytecode of the standard library, and only root may write it: without it
# each start compiles some 80 modules.
USER 0:0
RUN ["python3", "-c", "import peerdisco.cli, peerdisco.discovery, asyncio, json, numbers"]

# Any id will do: nothing in the image belongs to it, and nothing is written.
USER 65532:65532

ENTRYPOINT ["python3", "-m", "peerdisco"]
