# The shop on Kubernetes: CLUSTER is local, kind or existing (tests/cluster/run says what each needs).
.PHONY: run-on-cluster cluster-down

run-on-cluster:
ifeq ($(CLUSTER),local)
	@tests/cluster/run check local
	$(MAKE) images
endif
	@tests/cluster/run $(CLUSTER)

cluster-down: ## End the cluster that `make run CLUSTER=local` (or kind) brought up, and remove all of it
	@tests/cluster/run down $(if $(filter embedded,$(CLUSTER)),local,$(CLUSTER))
