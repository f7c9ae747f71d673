package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// apply brings the membership about and then leaves its trace on the pool. An error means that some of it may be done. A pool that went meanwhile is a 404,
// and nobody is left in it.
func (d *Directory) apply(ctx context.Context, have *v1alpha1.AgentPool, m membership) error {
	highest, err := d.moveAll(ctx, have.Name, m)
	if highest == 0 {
		return err
	}
	there, traceErr := d.trace(ctx, have, highest)
	if traceErr != nil || there {
		return cmp.Or(err, traceErr)
	}
	return cmp.Or(d.leave(ctx, have.Name, m), err)
}

// leave takes back an addition to a pool that was deleted meanwhile: who deleted it may have taken everybody out before.
func (d *Directory) leave(ctx context.Context, id string, m membership) error {
	back := membership{set: map[string]bool{}}
	for who, in := range m.set {
		if in {
			back.set[who] = false
		}
	}
	if len(back.set) == 0 {
		return nil
	}
	if _, err := d.moveAll(ctx, id, back); err != nil {
		return err
	}
	return errNoGroup(id)
}

// moveAll moves people in and out of a pool. It returns the highest version that it wrote to a person, 0 for none.
func (d *Directory) moveAll(ctx context.Context, id string, m membership) (highest uint64, err error) {
	touched, settled := d.touched(id, m)
	if len(settled) > maxLooks {
		if err := d.abreast(ctx); err != nil {
			return 0, err
		}
		m.abreast = true
		touched, settled = d.touched(id, m)
	}
	var mu sync.Mutex
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(writers)
	for i, who := range slices.Concat(touched, settled) {
		work.Go(func() error {
			v, err := d.move(ctx, who, id, m.set[who], i >= len(touched))
			mu.Lock()
			defer mu.Unlock()
			highest = max(highest, v)
			return err
		})
	}
	err = work.Wait()
	return highest, err
}

// touched lists the people whose membership of the pool is not as m has it, as far as the cache knows. settled are those of whom it must be looked
// whether the cache is right that theirs is.
func (d *Directory) touched(id string, m membership) (out, settled []string) {
	for who, in := range m.set {
		r := d.people.get(who)
		if r == nil && in || r != nil && slices.Contains(r.value.asserted, id) != in {
			out = append(out, who)
		} else if !m.abreast {
			settled = append(settled, who)
		}
	}
	if m.all {
		for _, r := range d.people.under(keyPool + id) {
			if _, named := m.set[r.id()]; !named {
				out = append(out, r.id())
			}
		}
	}
	slices.Sort(out)
	slices.Sort(settled)
	return out, settled
}

// move puts one person into a pool or takes them out. It returns the version that it wrote, 0 for none. fresh is for somebody of whom the cache's word is
// not enough.
func (d *Directory) move(ctx context.Context, who, id string, in, fresh bool) (written uint64, err error) {
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return 0, err
		}
		written, err = d.moveOnce(ctx, who, id, in, fresh || attempt > 0)
		if !apierrors.IsConflict(err) {
			return written, err
		}
	}
	return 0, errBusy("change a member's pools")
}

func (d *Directory) moveOnce(ctx context.Context, who, id string, in, fresh bool) (uint64, error) {
	at, pools, err := d.poolsOf(ctx, who, fresh)
	if err != nil || at == "" {
		if at == "" && err == nil && in {
			err = errLeft(who)
		}
		return 0, err
	}
	if slices.Contains(pools, id) == in {
		return 0, nil
	}
	if in {
		pools = append(slices.Clone(pools), id)
	} else {
		pools = slices.DeleteFunc(slices.Clone(pools), func(p string) bool { return p == id })
	}
	slices.Sort(pools)
	u := &v1alpha1.ScimUser{}
	u.Namespace, u.Name, u.ResourceVersion = d.namespace, who, at
	err = d.patch(ctx, u, map[string]any{"metadata": d.stamped(ctx, u), "spec": map[string]any{"pools": pools}})
	switch {
	case apierrors.IsNotFound(err) && !in:
		return 0, nil
	case apierrors.IsNotFound(err) || err == nil && in && u.DeletionTimestamp != nil:
		return 0, errLeft(who)
	case err != nil:
		return 0, err
	}
	written, err := version(u.ResourceVersion)
	if err == nil && u.DeletionTimestamp == nil {
		_, err = users{d}.resource(u)
	}
	return written, err
}

// errLeft is about somebody who was deleted after the request was checked, when others may have been changed already: no 4xx, so that the
// client repeats and is then told.
func errLeft(who string) error {
	return fmt.Errorf("put %s into a pool: the person was deleted meanwhile", who)
}

// poolsOf reads which pools the provider put somebody in, and at which version: from the cache, or fresh. at is empty for nobody.
func (d *Directory) poolsOf(ctx context.Context, who string, fresh bool) (at string, pools []string, err error) {
	if r := d.people.get(who); r != nil && !fresh {
		return strconv.FormatUint(r.version, 10), r.value.asserted, nil
	}
	u := &v1alpha1.ScimUser{}
	found, err := d.read(ctx, who, u)
	if err != nil || !found {
		return "", nil, err
	}
	return u.ResourceVersion, u.Spec.Pools, nil
}

// traced reads what trace noted; 0 for nothing.
func traced(p *v1alpha1.AgentPool) uint64 {
	rv, ok := strings.CutPrefix(p.Annotations[annotationMembersAsOf], string(p.UID)+"/")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// trace notes on the pool how far its membership was written, never going back, and when. there says whether the pool is still a group.
func (d *Directory) trace(ctx context.Context, have *v1alpha1.AgentPool, highest uint64) (there bool, err error) {
	now := *have
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return false, err
		}
		if traced(&now) >= highest {
			return true, nil
		}
		metadata := d.stamped(ctx, &now)
		metadata["annotations"].(map[string]any)[annotationMembersAsOf] = fmt.Sprintf("%s/%d", now.UID, highest)
		err := d.patch(ctx, &now, map[string]any{"metadata": metadata})
		if err == nil {
			now.DeepCopyInto(have)
		}
		if !apierrors.IsConflict(err) {
			return err == nil, client.IgnoreNotFound(err)
		}
		now = v1alpha1.AgentPool{}
		found, err := d.read(ctx, have.Name, &now)
		if _, visible := now.SCIMName(); err != nil || !found || !visible {
			return false, err
		}
	}
	return false, errBusy("note a change of membership")
}
