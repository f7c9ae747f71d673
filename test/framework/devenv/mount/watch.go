// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Follow writes the Secrets of the namespace that wanted chooses below folder, until ctx ends. It
// returns once the existing Secrets are written; later errors are logged.
func Follow(ctx context.Context, client kubernetes.Interface, namespace, folder string, wanted func(*corev1.Secret) bool, log logr.Logger) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Secrets().Informer()
	write := func(obj any, gone bool) {
		secret, ok := obj.(*corev1.Secret)
		if !ok || !wanted(secret) {
			return
		}
		data := secret.Data
		if gone {
			data = nil
		}
		if err := Write(filepath.Join(folder, secret.Name), data); err != nil {
			log.Error(err, "Writing the files of a Secret", "secret", secret.Name)
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { write(obj, false) },
		UpdateFunc: func(_, obj any) { write(obj, false) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			write(obj, true)
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return fmt.Errorf("list the Secrets to mount: %w", ctx.Err())
	}
	return nil
}
