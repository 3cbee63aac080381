//! `render FILE`: what a Catalog would become, without a cluster.
