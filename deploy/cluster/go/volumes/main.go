// volumes provisions persistent volumes on the node of the local cluster. A volume is a directory of type `local`, to
// which the kubelet applies fsGroup as it does to a cloud disk. Sizes are recorded, also after a resize, and not enforced.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisionerName is the provisioner of the storage class in manifests/volumes.yaml.
const provisionerName = "catalog.rs/local"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	directory := flag.String("directory", "", "parent directory of the volumes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *directory); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, directory string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := watchClaims(ctx, client); err != nil {
		return err
	}
	controller.NewProvisionController(ctx, client, provisionerName, directories{directory},
		controller.LeaderElection(false), controller.MetricsPort(0)).Run(ctx)
	return nil
}

// directories provisions volumes as directories below root.
type directories struct{ root string }

func (d directories) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	for _, mode := range options.PVC.Spec.AccessModes {
		if mode == v1.ReadWriteMany || mode == v1.ReadOnlyMany {
			return nil, controller.ProvisioningFinished, fmt.Errorf("access mode %s is not supported, because a volume belongs to one node", mode)
		}
	}
	path := filepath.Join(d.root, options.PVName)
	// Owned by root with mode 0755, as a new disk is: other users need fsGroup to write.
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			MountOptions:                  options.StorageClass.MountOptions,
			VolumeMode:                    options.PVC.Spec.VolumeMode,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: options.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  nodeAffinity(options.SelectedNodeName),
		},
	}
	return volume, controller.ProvisioningFinished, nil
}

func (d directories) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	path := filepath.Join(d.root, volume.Name)
	if volume.Spec.Local == nil || volume.Spec.Local.Path != path {
		return &controller.IgnoredError{Reason: "the volume is not below " + d.root}
	}
	return os.RemoveAll(path)
}

func nodeAffinity(name string) *v1.VolumeNodeAffinity {
	requirement := v1.NodeSelectorRequirement{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{name}}
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{
		NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{requirement}}},
	}}
}
