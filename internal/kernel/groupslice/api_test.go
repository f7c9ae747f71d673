// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// ids returns n SCIM ids.
func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = uuid.NewString()
	}
	slices.Sort(out)
	return out
}

// counting counts the requests of a client by verb.
type counting struct {
	client.Client
	mu    sync.Mutex
	count map[string]int
}

func (c *counting) note(verb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[verb]++
}

// take returns the counts since the last take.
func (c *counting) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.count
	c.count = nil
	return out
}

func (c *counting) Get(ctx context.Context, k client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.note("get")
	return c.Client.Get(ctx, k, o, opts...)
}

func (c *counting) List(ctx context.Context, l client.ObjectList, opts ...client.ListOption) error {
	c.note("list")
	return c.Client.List(ctx, l, opts...)
}

func (c *counting) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	c.note("write")
	return c.Client.Create(ctx, o, opts...)
}

func (c *counting) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	c.note("write")
	return c.Client.Update(ctx, o, opts...)
}

func (c *counting) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	c.note("write")
	return c.Client.Patch(ctx, o, p, opts...)
}

// TestFake compares the in-memory API server with the real one, request by request.
func TestFake(t *testing.T) {
	const a, b = "00000000-0000-4000-8000-000000000000", "ffff0000-0000-4000-8000-000000000000"
	merge := func(format string, args ...any) func(context.Context, client.Client, *v1alpha1.ScimGroupSlice) error {
		return func(ctx context.Context, c client.Client, o *v1alpha1.ScimGroupSlice) error {
			return c.Patch(ctx, o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...)))
		}
	}
	jsonPatch := func(body string) func(context.Context, client.Client, *v1alpha1.ScimGroupSlice) error {
		return func(ctx context.Context, c client.Client, o *v1alpha1.ScimGroupSlice) error {
			return c.Patch(ctx, o, client.RawPatch(types.JSONPatchType, []byte(body)))
		}
	}
	update := func(change func(o *v1alpha1.ScimGroupSlice)) func(context.Context, client.Client, *v1alpha1.ScimGroupSlice) error {
		return func(ctx context.Context, c client.Client, o *v1alpha1.ScimGroupSlice) error {
			change(o)
			return c.Update(ctx, o)
		}
	}
	tooMany := map[string]bool{}
	for _, id := range ids(v1alpha1.SliceMax + 1) {
		tooMany[id] = true
	}
	long, err := json.Marshal(map[string]any{"spec": map[string]any{"members": strings.Repeat(a+"\n", v1alpha1.SliceMax+1)}})
	if err != nil {
		t.Fatal(err)
	}
	many, err := json.Marshal(map[string]any{"spec": map[string]any{"changes": tooMany}})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		reason string
		do     func(ctx context.Context, c client.Client, o *v1alpha1.ScimGroupSlice) error
		want   int // status
	}{
		"Add":               {"a member is added to the others", merge(`{"spec":{"epoch":3,"revision":11,"changes":{%q:true}}}`, b), 0},
		"Remove":            {"false removes one", merge(`{"spec":{"epoch":3,"revision":11,"changes":{%q:false}}}`, a), 0},
		"RemoveAbsent":      {"removing an absent member is no error", merge(`{"spec":{"epoch":3,"revision":11,"changes":{%q:false}}}`, b), 0},
		"Nothing":           {"a patch that changes nothing is no write", merge(`{"spec":{"epoch":3}}`), 0},
		"LateEpoch":         {"the writer has an older epoch", merge(`{"spec":{"epoch":2,"revision":11,"changes":{%q:true}}}`, b), 422},
		"BitsSameEpoch":     {"bits change with the epoch only", merge(`{"spec":{"bits":1}}`), 422},
		"BitsNewEpoch":      {"a split", merge(`{"spec":{"bits":1,"epoch":4}}`), 0},
		"OlderRound":        {"a newer replacement was written first", merge(`{"spec":{"round":1}}`), 422},
		"OlderRevision":     {"revisions never go down", merge(`{"spec":{"epoch":3,"revision":9,"changes":{%q:true}}}`, b), 422},
		"OlderRevisionNew":  {"in a new epoch neither", merge(`{"spec":{"epoch":4,"revision":9}}`), 422},
		"OtherUID":          {"a patch for a deleted slice of this name", merge(`{"metadata":{"uid":"other"},"spec":{"revision":11}}`), 422},
		"OtherVersion":      {"a patch at another resourceVersion", merge(`{"metadata":{"resourceVersion":"99999999"},"spec":{"revision":11}}`), 409},
		"TooMany":           {"a slice takes 1024 changes", merge("%s", many), 422},
		"TooLong":           {"and 1024 members", merge("%s", long), 422},
		"TestPasses":        {"a JSON patch whose tests pass", jsonPatch(`[{"op":"test","path":"/spec/epoch","value":3},{"op":"add","path":"/spec/members","value":""},{"op":"add","path":"/spec/changes","value":{}},{"op":"replace","path":"/spec/round","value":3}]`), 0},
		"TestFails":         {"a JSON patch whose test fails", jsonPatch(`[{"op":"test","path":"/spec/epoch","value":2},{"op":"replace","path":"/spec/round","value":3}]`), 422},
		"TestUID":           {"the uid can be tested", jsonPatch(`[{"op":"test","path":"/metadata/uid","value":"other"}]`), 422},
		"AddIntoAbsent":     {"no annotation can be added where there are none", jsonPatch(`[{"op":"add","path":"/metadata/annotations/x","value":"y"}]`), 422},
		"AddAnnotations":    {"all of them can", jsonPatch(`[{"op":"add","path":"/metadata/annotations","value":{"x":"y"}}]`), 0},
		"Update":            {"at its resourceVersion", update(func(o *v1alpha1.ScimGroupSlice) { o.Spec.Bits, o.Spec.Epoch = 1, 4 }), 0},
		"UpdateConflict":    {"at another", update(func(o *v1alpha1.ScimGroupSlice) { o.ResourceVersion = "99999999" }), 409},
		"UpdateOtherObject": {"of another uid", update(func(o *v1alpha1.ScimGroupSlice) { o.UID = "other" }), 409},
		"UpdateAbsent": {"of none", update(func(o *v1alpha1.ScimGroupSlice) {
			o.Name = Name(groupID, 0xffff)
		}), 404},
		"PatchAbsent": {"of none", func(ctx context.Context, c client.Client, o *v1alpha1.ScimGroupSlice) error {
			o.Name = Name(groupID, 0xffff)
			return c.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"epoch":3}}`)))
		}, 404},
		"CreateTwice": {"a name can be created once", func(ctx context.Context, c client.Client, o *v1alpha1.ScimGroupSlice) error {
			o.ResourceVersion = ""
			return c.Create(ctx, o)
		}, 409},
	}
	play := func(ctx context.Context, t *testing.T, c client.Client, namespace string,
		do func(context.Context, client.Client, *v1alpha1.ScimGroupSlice) error,
	) (int, v1alpha1.ScimGroupSliceSpec, bool) {
		t.Helper()
		o := &v1alpha1.ScimGroupSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Name(groupID, 0), Labels: map[string]string{v1alpha1.LabelGroup: groupID}},
			Spec:       v1alpha1.ScimGroupSliceSpec{Epoch: 3, Round: 2, Revision: 10, Members: a + "\n"},
		}
		if err := c.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
		err := do(ctx, c, o.DeepCopy())
		if err != nil && status(err) == 0 {
			t.Fatal(err)
		}
		now := &v1alpha1.ScimGroupSlice{}
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
			t.Fatal(err)
		}
		return status(err), now.Spec, now.ResourceVersion == o.ResourceVersion
	}
	cp := controlplane.Get(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, spec, same := play(t.Context(), t, cp.Client, cp.Namespace(t), tc.do)
			fakeCode, fakeSpec, fakeSame := play(t.Context(), t, newFakeAPI(), "", tc.do)
			if code != tc.want || fakeCode != tc.want {
				t.Errorf("status %d, in memory %d, want %d: %s", code, fakeCode, tc.want, tc.reason)
			}
			if diff := cmp.Diff(spec, fakeSpec); diff != "" || same != fakeSame {
				t.Errorf("same version %v, in memory %v; the spec differs:\n%s\n%s", same, fakeSame, diff, tc.reason)
			}
		})
	}
}

// TestSizes runs the whole life of a group at several sizes and counts the requests.
func TestSizes(t *testing.T) {
	cp := controlplane.Get(t)
	for _, n := range []int{1, 130, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			ctx := t.Context()
			c := &counting{Client: cp.Client}
			s := NewStore(c, cp.Namespace(t), Options{FieldOwner: "test"})
			members := ids(n)
			withGroup(t, cp.Client, s, members...)
			bound := max(1, 2*n/v1alpha1.SliceTarget)
			expect := func(what string, got map[string]int, verb string, most int) {
				t.Helper()
				if got[verb] > most {
					t.Errorf("%s took %v, want at most %d of %s", what, got, most, verb)
				}
			}
			expect("Create", c.take(), "write", bound)
			same := func(want []string) {
				t.Helper()
				have, err := s.Members(ctx, groupID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, have); diff != "" {
					t.Fatal(diff)
				}
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			same(members)
			c.take()
			added := uuid.NewString()
			must(s.Change(ctx, groupID, []Change{{added, true}}))
			must(s.Change(ctx, groupID, []Change{{added, true}, {members[0], false}}))
			expect("three changes", c.take(), "list", 0)
			in, err := s.Contains(ctx, groupID, added)
			must(err)
			if !in {
				t.Error("the member that was added is not in")
			}
			if in, err = s.Contains(ctx, groupID, members[0]); err != nil || in {
				t.Errorf("the member that was removed is in: %v", err)
			}
			expect("Contains", c.take(), "get", 2)
			now := slices.Sorted(slices.Values(append(members[1:], added)))
			same(now)

			c.take()
			must(s.Replace(ctx, groupID, now))
			expect("a replacement that changes nothing", c.take(), "write", 0)
			must(s.Replace(ctx, groupID, members))
			expect("a replacement", c.take(), "write", bound+2)
			same(members)

			larger := slices.Concat(members, ids(2000))
			slices.Sort(larger)
			must(s.Change(ctx, groupID, changes(larger)))
			same(larger)
			must(s.Replace(ctx, groupID, members[:1]))
			same(members[:1])

			must(s.Delete(ctx, groupID))
			must(cp.Client.Delete(ctx, &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: groupID}}))
			for what, err := range map[string]error{
				"Change":  s.Change(ctx, groupID, []Change{{added, true}}),
				"Replace": s.Replace(ctx, groupID, members),
			} {
				if !errors.Is(err, ErrGroupGone) {
					t.Errorf("%s: %v, want ErrGroupGone", what, err)
				}
			}
			if _, err := s.Contains(ctx, groupID, added); !errors.Is(err, ErrGroupGone) {
				t.Errorf("Contains: %v, want ErrGroupGone", err)
			}
			if _, err := s.Members(ctx, groupID); !errors.Is(err, ErrGroupGone) {
				t.Errorf("Members: %v, want ErrGroupGone", err)
			}
		})
	}
}

// changes add users.
func changes(users []string) []Change {
	out := make([]Change, len(users))
	for i, user := range users {
		out[i] = Change{user, true}
	}
	return out
}

// TestManyWriters lets 64 writers change one slice through two replicas: no change is lost, and no
// writer waits long.
func TestManyWriters(t *testing.T) {
	cp := controlplane.Get(t)
	namespace := cp.Namespace(t)
	behind := func() time.Time { return time.Now().Add(-2 * time.Second) }
	stores := []*Store{NewStore(cp.Client, namespace, Options{}), NewStore(cp.Client, namespace, Options{Clock: behind})}
	withGroup(t, cp.Client, stores[0])
	start := time.Now()
	var mu sync.Mutex
	want := map[string]bool{}
	var wg sync.WaitGroup
	for writer := range 64 {
		wg.Go(func() {
			for _, user := range ids(8) {
				out := rand.IntN(4) == 0
				err := stores[writer%2].Change(t.Context(), groupID, []Change{{user, true}})
				if err == nil && out {
					err = stores[writer%2].Change(t.Context(), groupID, []Change{{user, false}})
				}
				if err != nil {
					t.Errorf("writer %d: %v", writer, err)
				}
				mu.Lock()
				want[user] = !out
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d users in %v", len(want), time.Since(start))
	maps.DeleteFunc(want, func(_ string, in bool) bool { return !in })
	have, err := stores[0].Members(t.Context(), groupID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), have); diff != "" {
		t.Error(diff)
	}
}
