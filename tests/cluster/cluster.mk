# The shop on Kubernetes. CLUSTER is local, kind or existing; tests/cluster/README.md lists what each needs.
.PHONY: run-on-cluster cluster-down

run-on-cluster:
ifeq ($(CLUSTER),local)
	@tests/cluster/run check local
	$(MAKE) images
endif
	@tests/cluster/run $(CLUSTER)

cluster-down: ## Stop and remove the cluster that `make run CLUSTER=local` (or kind) started
	@tests/cluster/run down $(if $(filter embedded,$(CLUSTER)),local,$(CLUSTER))
