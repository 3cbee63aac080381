module catalog.rs/deploy/cluster/pause

go 1.26.0
