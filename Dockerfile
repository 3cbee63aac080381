# syntax=docker/dockerfile:1
# Two images: `docker build -t catalog .` and `docker build -t catalog-operator --target operator .`
# Nothing but the program, its C library and CA certificates; runs as user 65532.

FROM rust:1.95.0-bookworm AS build
# The image's own toolchain is the pinned one: rust-toolchain.toml would add components for people.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package catalog --package catalog-operator && \
    install -D --target-directory /out target/release/catalog target/release/catalog-operator

FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /out/catalog-operator /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/catalog-operator"]

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/catalog /usr/local/bin/
USER 65532:65532
EXPOSE 8080 9090
# Every long-running role answers here; OPS_ADDRESS moves it for both.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/local/bin/catalog", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/catalog"]
CMD ["serve"]
