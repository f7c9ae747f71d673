// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// fakeAPI is an in-memory API server for groups and slices of one namespace: resource versions,
// preconditions, merge and JSON patches, and the rules of the slices' CRD. TestFake compares it
// with a real one. Methods that the Store does not use are nil.
type fakeAPI struct {
	client.Client

	// before is called before a request takes effect, after is called afterwards; an error ends the
	// request there, like a broken connection.
	before, after func(ctx context.Context, verb, name string) error
	most          int    // members of a slice
	refuse        string // a member that no slice may have

	mu      sync.Mutex
	version int
	objects map[string]client.Object // by kind and name
	writes  int
	broken  error                              // the invariant's error after the first write that broke it
	force   map[string]v1alpha1.ScimGroupSlice // the valid slice of each member, after the last write
}

func newFakeAPI() *fakeAPI {
	nothing := func(context.Context, string, string) error { return nil }
	return &fakeAPI{before: nothing, after: nothing, most: v1alpha1.SliceMax, objects: map[string]client.Object{}}
}

func resource(o client.Object) schema.GroupResource {
	name := "scimgroupslices"
	if _, ok := o.(*v1alpha1.ScimGroup); ok {
		name = "scimgroups"
	}
	return schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: name}
}

func key(o client.Object) string { return resource(o).Resource + "/" + o.GetName() }

// errLate delays a request beyond the time that its caller waits for the answer.
var errLate = errors.New("the request is late")

// do makes one request.
func (f *fakeAPI) do(ctx context.Context, verb, name string, o client.Object, request func(o client.Object) error) error {
	locked := func(o client.Object) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return request(o)
	}
	err := f.before(ctx, verb, name)
	if errors.Is(err, errLate) && o != nil {
		o = o.DeepCopyObject().(client.Object)
		go func() {
			for errors.Is(f.before(ctx, verb, name), errLate) { // delayed again
			}
			_ = locked(o) // the caller no longer waits
		}()
	}
	if err != nil {
		return err
	}
	err = locked(o)
	if lost := f.after(ctx, verb, name); lost != nil {
		return lost
	}
	return err
}

func into(to, from client.Object) {
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from.DeepCopyObject()).Elem())
}

func (f *fakeAPI) Get(ctx context.Context, k client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	return f.do(ctx, "get", k.Name, nil, func(client.Object) error {
		o.SetName(k.Name)
		have, ok := f.objects[key(o)]
		if !ok {
			return apierrors.NewNotFound(resource(o), k.Name)
		}
		into(o, have)
		return nil
	})
}

func (f *fakeAPI) List(ctx context.Context, l client.ObjectList, options ...client.ListOption) error {
	return f.do(ctx, "list", "slices", nil, func(client.Object) error {
		var o client.ListOptions
		o.ApplyOptions(options)
		items := l.(*v1alpha1.ScimGroupSliceList)
		for _, k := range slices.Sorted(maps.Keys(f.objects)) {
			s, ok := f.objects[k].(*v1alpha1.ScimGroupSlice)
			if ok && (o.LabelSelector == nil || o.LabelSelector.Matches(labels.Set(s.Labels))) {
				items.Items = append(items.Items, *s.DeepCopy())
			}
		}
		return nil
	})
}

func (f *fakeAPI) Create(ctx context.Context, o client.Object, _ ...client.CreateOption) error {
	return f.do(ctx, "create", o.GetName(), o, func(o client.Object) error {
		if _, ok := f.objects[key(o)]; ok {
			return apierrors.NewAlreadyExists(resource(o), o.GetName())
		}
		if err := f.validate(o, nil); err != nil {
			return err
		}
		o.SetUID(types.UID(uuid.NewString()))
		f.put(o)
		return nil
	})
}

func (f *fakeAPI) Update(ctx context.Context, o client.Object, _ ...client.UpdateOption) error {
	return f.do(ctx, "update", o.GetName(), o, func(o client.Object) error {
		have, ok := f.objects[key(o)]
		switch {
		case !ok:
			return apierrors.NewNotFound(resource(o), o.GetName())
		case o.GetResourceVersion() != have.GetResourceVersion() || o.GetUID() != have.GetUID():
			return apierrors.NewConflict(resource(o), o.GetName(), fmt.Errorf("it was changed"))
		}
		if err := f.validate(o, have); err != nil {
			return err
		}
		f.put(o)
		return nil
	})
}

func (f *fakeAPI) Patch(ctx context.Context, o client.Object, p client.Patch, _ ...client.PatchOption) error {
	return f.do(ctx, "patch", o.GetName(), o, func(o client.Object) error {
		have, ok := f.objects[key(o)]
		if !ok {
			return apierrors.NewNotFound(resource(o), o.GetName())
		}
		patched, err := patched(have, o, p)
		if err != nil {
			return err
		}
		switch {
		case patched.GetResourceVersion() != have.GetResourceVersion():
			return apierrors.NewConflict(resource(o), o.GetName(), fmt.Errorf("it was changed"))
		case patched.GetUID() != have.GetUID():
			return invalid(o, "metadata.uid", "field is immutable")
		}
		if err := f.validate(patched, have); err != nil {
			return err
		}
		f.put(patched)
		into(o, patched)
		return nil
	})
}

// patched returns an object with a patch applied.
func patched(have, like client.Object, p client.Patch) (client.Object, error) {
	before, err := json.Marshal(have)
	if err != nil {
		return nil, err
	}
	body, err := p.Data(like)
	if err != nil {
		return nil, err
	}
	after := before
	switch p.Type() {
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, body)
	case types.JSONPatchType:
		var operations jsonpatch.Patch
		if operations, err = jsonpatch.DecodePatch(body); err == nil {
			after, err = operations.Apply(before)
		}
	default:
		err = fmt.Errorf("patch type %s is not implemented", p.Type())
	}
	if err != nil {
		return nil, apierrors.NewGenericServerResponse(422, "patch", resource(like), like.GetName(), err.Error(), 0, false)
	}
	out := reflect.New(reflect.TypeOf(have).Elem()).Interface().(client.Object)
	return out, json.Unmarshal(after, out)
}

func (f *fakeAPI) DeleteAllOf(ctx context.Context, o client.Object, options ...client.DeleteAllOfOption) error {
	return f.do(ctx, "delete", "slices", nil, func(client.Object) error {
		var all client.DeleteAllOfOptions
		all.ApplyOptions(options)
		maps.DeleteFunc(f.objects, func(_ string, have client.Object) bool {
			return resource(have) == resource(o) && all.LabelSelector.Matches(labels.Set(have.GetLabels()))
		})
		return nil
	})
}

// put stores an object, which gets a new resource version if it changed.
func (f *fakeAPI) put(o client.Object) {
	if have, ok := f.objects[key(o)]; ok {
		a, _ := json.Marshal(have) //nolint:errchkjson // our own types always marshal
		b, _ := json.Marshal(o)    //nolint:errchkjson // as above
		if bytes.Equal(a, b) {
			return
		}
	}
	f.version++
	f.writes++
	o.SetResourceVersion(strconv.Itoa(f.version))
	f.objects[key(o)] = o.DeepCopyObject().(client.Object)
	if _, ok := f.objects["scimgroups/"+groupID]; ok && f.broken == nil {
		f.broken = f.invariant()
	}
}

// validate applies the CRD's rules.
func (f *fakeAPI) validate(o, before client.Object) error {
	s, ok := o.(*v1alpha1.ScimGroupSlice)
	if !ok {
		return nil
	}
	spec := s.Spec
	var problem string
	if before != nil {
		old := before.(*v1alpha1.ScimGroupSlice).Spec
		same := spec.Epoch == old.Epoch && spec.Bits == old.Bits && spec.Round >= old.Round
		switch {
		case spec.Epoch <= old.Epoch && !same:
			problem = "split or replaced meanwhile"
		case spec.Revision < old.Revision:
			problem = "has a newer revision"
		}
	}
	switch {
	case spec.HasMember(f.refuse):
		problem = "this member is refused"
	case strings.Count(spec.Members, "\n") > f.most || len(spec.Changes) > f.most:
		problem = "too many members"
	case spec.Bits < 0 || spec.Bits > v1alpha1.SliceMaxBits || spec.Epoch < 0 || spec.Round < 0 || spec.Revision < 0:
		problem = "out of bounds"
	}
	if problem == "" {
		return nil
	}
	return invalid(o, "spec", problem)
}

func invalid(o client.Object, path, problem string) error {
	kind := v1alpha1.GroupVersion.WithKind("ScimGroupSlice").GroupKind()
	return apierrors.NewInvalid(kind, o.GetName(), field.ErrorList{field.Invalid(field.NewPath(path), "", problem)})
}

const groupID = "0c5a3a8e-6a4f-4f4e-9c1c-0a5f1a5b9f00"

// slices returns the slices of the group, read-only.
func (f *fakeAPI) slices() []v1alpha1.ScimGroupSlice {
	var out []v1alpha1.ScimGroupSlice
	for _, k := range slices.Sorted(maps.Keys(f.objects)) {
		if s, ok := f.objects[k].(*v1alpha1.ScimGroupSlice); ok && s.Labels[v1alpha1.LabelGroup] == groupID {
			out = append(out, *s)
		}
	}
	return out
}

// invariant checks that each place is covered by one valid slice, that no member is in a valid
// slice that does not cover it, and that a user's valid slice only changes to one with a higher
// prefix or a newer round.
func (f *fakeAPI) invariant() error {
	all := f.slices()
	for _, user := range people {
		if Lookup(all, user) == nil {
			return fmt.Errorf("%s is covered by no slice: %s", user, describe(all))
		}
	}
	at := 0
	for _, s := range ValidSlices(all) {
		prefix, _ := Prefix(s.Name)
		if int(prefix) != at {
			return fmt.Errorf("%04x is covered by no slice, or by two: %s", at, describe(all))
		}
		at += width(s.Spec.Bits)
		for user := range s.Spec.AllMembers() {
			if in := Lookup(all, user); in == nil || in.Name != s.Name {
				return fmt.Errorf("%s is in %s, which does not cover it: %s", user, s.Name, describe(all))
			}
		}
		for _, user := range people {
			if Lookup(all, user).Name != s.Name {
				continue
			}
			if was, ok := f.force[user]; ok && (was.Name > s.Name || was.Spec.Round > s.Spec.Round) {
				return fmt.Errorf("%s was in the newer %s of round %d: %s", user, was.Name, was.Spec.Round, describe(all))
			}
			if f.force == nil {
				f.force = map[string]v1alpha1.ScimGroupSlice{}
			}
			f.force[user] = *s
		}
	}
	if at != width(0) {
		return fmt.Errorf("from %04x on there is no slice: %s", at, describe(all))
	}
	return nil
}

func describe(all []v1alpha1.ScimGroupSlice) string {
	out := ""
	for _, s := range all {
		out += fmt.Sprintf("\n  %s/%d epoch %d round %d %v", s.Name[len(s.Name)-4:], s.Spec.Bits, s.Spec.Epoch, s.Spec.Round,
			slices.Sorted(s.Spec.AllMembers()))
	}
	return out
}

// drop deletes a slice.
func (f *fakeAPI) drop(prefix uint16) { delete(f.objects, "scimgroupslices/"+Name(groupID, prefix)) }

// withGroup creates the group, once its slices exist.
func withGroup(tb testing.TB, c client.Client, s *Store, members ...string) {
	tb.Helper()
	if err := s.Create(tb.Context(), groupID, members); err != nil {
		tb.Fatal(err)
	}
	g := &v1alpha1.ScimGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: groupID},
		Spec:       v1alpha1.ScimGroupSpec{DisplayName: "Engineers"},
	}
	if err := c.Create(tb.Context(), g); err != nil {
		tb.Fatal(err)
	}
}
