# The shop on Kubernetes. CLUSTER is local, kind or existing; deploy/cluster/README.md lists what each needs.
.PHONY: run-on-cluster cluster-down

run-on-cluster:
ifeq ($(CLUSTER),local)
	@deploy/cluster/run check local
	$(MAKE) images
endif
	@deploy/cluster/run $(CLUSTER)

cluster-down: ## Stop and remove the cluster that `make run CLUSTER=local` (or kind) started
	@deploy/cluster/run down $(if $(filter embedded,$(CLUSTER)),local,$(CLUSTER))
