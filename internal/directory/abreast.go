package directory

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// maxLooks is how many people, whom the cache takes for settled, a change reads one by one. For more of them the cache is brought abreast, which
// costs one write.
const maxLooks = 16

// caughtUpWholly waits until the cache knows every change of the pool's membership that came before, also one that was cut off before it left its trace
// on the pool: who is a member is then known without naming anybody.
func (d *Directory) caughtUpWholly(ctx context.Context, have *v1alpha1.AgentPool) error {
	if err := d.caughtUp(ctx, have); err != nil {
		return err
	}
	return d.abreast(ctx)
}

// abreast waits until the cache knows every write to a person that came before the call. An event of one's own shows that the watch has come so far, as no
// request for the present version does: so somebody is written to, whoever it is, in a way that changes nothing.
func (d *Directory) abreast(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return err
		}
		who, err := d.anybody(ctx)
		if err != nil || who == "" {
			return err
		}
		u := &v1alpha1.ScimUser{}
		u.Namespace, u.Name = d.namespace, who
		err = d.patch(ctx, u, map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationAttempt: uuid.NewString()}}})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("bring the cache abreast: %w", err)
		}
		v, err := version(u.ResourceVersion)
		if err != nil {
			return err
		}
		return d.people.reached(ctx, v)
	}
	return errBusy("bring the cache abreast")
}

// anybody is the id of some person; empty when there is none.
func (d *Directory) anybody(ctx context.Context) (string, error) {
	if n := d.people.len(); n > 0 {
		if records, _, _ := d.people.page("", rand.IntN(n), 1); len(records) > 0 {
			return records[0].id(), nil
		}
	}
	var list v1alpha1.ScimUserList
	if err := d.client.List(ctx, &list, client.InNamespace(d.namespace), client.Limit(1)); err != nil {
		return "", fmt.Errorf("list anybody: %w", err)
	}
	if len(list.Items) == 0 {
		return "", nil
	}
	return list.Items[0].Name, nil
}
