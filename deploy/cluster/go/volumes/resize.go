package main

import (
	"context"
	"log"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// resyncInterval is the interval at which all claims are checked. It also retries failed resizes.
const resyncInterval = 30 * time.Second

// watchClaims resizes bound claims whose request exceeds their capacity.
func watchClaims(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, resyncInterval)
	check := func(obj any) {
		claim, ok := obj.(*v1.PersistentVolumeClaim)
		if !ok || claim.Status.Phase != v1.ClaimBound || !needsResize(claim) {
			return
		}
		if err := resize(ctx, client, claim); err != nil {
			// Usually a write conflict. The event of the other write, or the resync, retries it.
			log.Printf("resizing claim %s/%s failed: %v", claim.Namespace, claim.Name, err)
		}
	}
	_, err := factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    check,
		UpdateFunc: func(_, claim any) { check(claim) },
	})
	factory.Start(ctx.Done())
	return err
}

func needsResize(claim *v1.PersistentVolumeClaim) bool {
	requested, capacity := claim.Spec.Resources.Requests[v1.ResourceStorage], claim.Status.Capacity[v1.ResourceStorage]
	return requested.Cmp(capacity) > 0
}

// resize sets the capacity of the volume before that of the claim, so that the claim never reports more than its volume.
func resize(ctx context.Context, client kubernetes.Interface, cached *v1.PersistentVolumeClaim) error {
	requested := cached.Spec.Resources.Requests[v1.ResourceStorage]
	volume, err := client.CoreV1().PersistentVolumes().Get(ctx, cached.Spec.VolumeName, metav1.GetOptions{})
	if err != nil || volume.Annotations["pv.kubernetes.io/provisioned-by"] != provisionerName {
		return err
	}
	volume.Spec.Capacity[v1.ResourceStorage] = requested
	if _, err = client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	claim := cached.DeepCopy()
	claim.Status.Capacity[v1.ResourceStorage] = requested
	claim.Status.Conditions = nil
	_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}
