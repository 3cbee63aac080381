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

// again is how often every claim is looked at even if nothing happened, so that one that failed is tried again.
const again = 30 * time.Second

// growing gives each bound claim that asks for more than it has what it asks for.
func growing(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, again)
	grow := func(obj any) {
		claim, ok := obj.(*v1.PersistentVolumeClaim)
		if !ok || claim.Status.Phase != v1.ClaimBound || !grown(claim) {
			return
		}
		if err := widen(ctx, client, claim); err != nil {
			// Somebody else changed one of the two meanwhile: that change, or the next look at all, comes here again.
			log.Printf("claim %s/%s could not grow: %v", claim.Namespace, claim.Name, err)
		}
	}
	_, err := factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    grow,
		UpdateFunc: func(_, claim any) { grow(claim) },
	})
	factory.Start(ctx.Done())
	return err
}

func grown(claim *v1.PersistentVolumeClaim) bool {
	asked, has := claim.Spec.Resources.Requests[v1.ResourceStorage], claim.Status.Capacity[v1.ResourceStorage]
	return asked.Cmp(has) > 0
}

// widen sets the volume's capacity first: a claim must not say that it has what its volume hasn't.
func widen(ctx context.Context, client kubernetes.Interface, seen *v1.PersistentVolumeClaim) error {
	asked := seen.Spec.Resources.Requests[v1.ResourceStorage]
	volume, err := client.CoreV1().PersistentVolumes().Get(ctx, seen.Spec.VolumeName, metav1.GetOptions{})
	if err != nil || volume.Annotations["pv.kubernetes.io/provisioned-by"] != provisionerName {
		return err
	}
	volume.Spec.Capacity[v1.ResourceStorage] = asked
	if _, err = client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	claim := seen.DeepCopy()
	claim.Status.Capacity[v1.ResourceStorage] = asked
	claim.Status.Conditions = nil
	_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}
