# syntax=docker/dockerfile:1
# Three images: `docker build -t catalog .`, `docker build -t catalog-operator --target operator .` and
# `docker build -t catalogctl --target tools .` (before Docker 23 with `DOCKER_BUILDKIT=1`).
# They are the same as those of `make images` (docs/images.md): the program, its C library and CA certificates, for the
# user 65532. Keep their configuration in sync with deploy/images/project.py.

FROM rust:1.95.0-bookworm AS build
# Overrides rust-toolchain.toml, which would also install components for development.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --workspace --bin catalog --bin catalogctl --bin catalog-operator && \
    deploy/images/make --programs target/release --out /out --unpacked catalog catalogctl catalog-operator

FROM scratch AS base
ENV PATH=/usr/local/bin:/usr/bin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
LABEL org.opencontainers.image.version=0.1.0 \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.source=https://github.com/catalog-rs/catalog
USER 65532:65532
WORKDIR /

FROM base AS operator
COPY --from=build /out/catalog-operator/ /
LABEL org.opencontainers.image.title=catalog-operator \
      org.opencontainers.image.description="The Kubernetes operator of Catalog"
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/catalog-operator"]
CMD ["run"]

FROM base AS tools
COPY --from=build /out/catalogctl/ /
LABEL org.opencontainers.image.title=catalogctl \
      org.opencontainers.image.description="Tools of Catalog: an inbox for demonstrations and tests, imports"
EXPOSE 1025 8025 9090
ENTRYPOINT ["/usr/local/bin/catalogctl"]
CMD ["inbox"]

FROM base
COPY --from=build /out/catalog/ /
LABEL org.opencontainers.image.title=catalog \
      org.opencontainers.image.description="A product catalogue you can run and trust: the API and its workers"
EXPOSE 8080 9090
# Works for every long-running role. OPS_ADDRESS sets the port of the server and of this check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/local/bin/catalog", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/catalog"]
CMD ["serve"]
