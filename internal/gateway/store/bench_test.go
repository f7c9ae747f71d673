// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/store"
)

// Benchmarks of the whole server with a real API server, called without a network.
// etcd's disk limits the writes; BenchmarkRawCreate measures the API server's own rate for the same
// objects, for comparison.

// people is the number of users in a benchmark's directory.
const people = 1000

type bench struct {
	*testing.B
	world
	handler http.Handler
	ids     []string
	serial  atomic.Int64
}

func newBench(b *testing.B) *bench {
	w := newWorld(b)
	d := w.replica(b)
	f := &bench{B: b, world: w, handler: server.New(server.Options{
		Users: d.Users(), Groups: d.Groups(), Configuration: d.Configuration, Tokens: anyone{}, Log: logr.Discard(),
	})}
	f.fill(d)
	b.ResetTimer()
	b.ReportAllocs()
	return f
}

func (f *bench) fill(d *store.Directory) {
	f.Helper()
	f.ids = make([]string, people)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < people; i += 8 {
				var created struct{ ID string }
				answer := f.do("POST", "/Users", f.body(fmt.Sprintf("user%d@example.test", i)))
				if err := json.Unmarshal(answer, &created); err != nil {
					f.Error(err)
				}
				f.ids[i] = created.ID
			}
		})
	}
	wg.Wait()
	if have, _ := d.Sizes(); have != people {
		f.Fatalf("%d people", have)
	}
}

func (f *bench) body(name string) string {
	return `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"` + name +
		`","externalId":"` + name + `","active":true,"displayName":"A Person","name":{"givenName":"A","familyName":"Person"},"emails":[{"value":"` + name +
		`","type":"work","primary":true}],"title":"Engineer","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Payments"}}`
}

// do serves one request and fails on anything but a 2xx.
func (f *bench) do(method, path, body string) []byte {
	r := httptest.NewRequest(method, server.BasePath+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	w := httptest.NewRecorder()
	w.Body = bytes.NewBuffer(make([]byte, 0, 128<<10))
	f.handler.ServeHTTP(w, r)
	if w.Code >= 300 {
		f.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func BenchmarkListPage(b *testing.B) {
	f := newBench(b)
	for b.Loop() {
		f.do("GET", "/Users?startIndex=401&count=100", "")
	}
}

// BenchmarkPreparedPage measures net/http alone: it serves the bytes of BenchmarkListPage.
func BenchmarkPreparedPage(b *testing.B) {
	f := newBench(b)
	page := f.do("GET", "/Users?startIndex=401&count=100", "")
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, bytes.NewReader(page)) })
	b.ResetTimer()
	for b.Loop() {
		f.do("GET", "/", "")
	}
}

func BenchmarkFilterExternalID(b *testing.B) {
	f := newBench(b)
	for b.Loop() {
		f.do("GET", "/Users?filter=externalId%20eq%20%22user500@example.test%22", "")
	}
}

func BenchmarkGet(b *testing.B) {
	f := newBench(b)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f.do("GET", "/Users/"+f.ids[f.serial.Add(1)%people], "")
		}
	})
}

func BenchmarkUserNameEq(b *testing.B) {
	f := newBench(b)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f.do("GET", fmt.Sprintf("/Users?filter=userName%%20eq%%20%%22user%d@example.test%%22", f.serial.Add(1)%people), "")
		}
	})
}

func BenchmarkPost(b *testing.B) {
	f := newBench(b)
	b.SetParallelism(4)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			f.do("POST", "/Users", f.body(fmt.Sprintf("new%d@example.test", f.serial.Add(1))))
		}
	})
}

func BenchmarkPatchActive(b *testing.B) {
	f := newBench(b)
	b.SetParallelism(4)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			n := f.serial.Add(1)
			f.do("PATCH", "/Users/"+f.ids[n%people], fmt.Sprintf(
				`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":%v}]}`, n/people%2 == 1))
		}
	})
}

// BenchmarkGroupPatch100 alternately adds 100 users to a group and removes them.
func BenchmarkGroupPatch100(b *testing.B) {
	f := newBench(b)
	var group struct{ ID string }
	err := json.Unmarshal(f.do("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Payments"}`), &group)
	if err != nil {
		b.Fatal(err)
	}
	members := `{"value":"` + strings.Join(f.ids[:100], `"},{"value":"`) + `"}`
	ops := []string{"add", "remove"}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		f.do("PATCH", "/Groups/"+group.ID, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"`+ops[i%2]+`","path":"members","value":[`+members+`]}]}`)
	}
}

// BenchmarkGroupPost1000 creates groups of 1000 members.
func BenchmarkGroupPost1000(b *testing.B) {
	f := newBench(b)
	members := `{"value":"` + strings.Join(f.ids, `"},{"value":"`) + `"}`
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		f.do("POST", "/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Group %d","members":[%s]}`, i, members))
	}
}

// BenchmarkRawCreate creates a user and a claim with client-go alone: POST can't be faster than
// that.
func BenchmarkRawCreate(b *testing.B) {
	w := newWorld(b)
	var serial atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			name := fmt.Sprintf("new%d@example.test", serial.Add(1))
			if err := w.rawCreate(b.Context(), name); err != nil {
				b.Error(err)
			}
		}
	})
}

func (w world) rawCreate(ctx context.Context, name string) error {
	u := &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: uuid.NewString()},
		Spec: v1alpha1.ScimUserSpec{
			UserName: name, ExternalID: name, DisplayName: "A Person", Title: "Engineer", Department: "Payments",
			Name: &v1alpha1.Name{GivenName: "A", FamilyName: "Person"}, Emails: []v1alpha1.MultiValue{{Value: name, Type: "work"}},
		},
	}
	if err := w.Client.Create(ctx, u); err != nil {
		return err
	}
	return w.Client.Create(ctx, &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: claimName(name)},
		Spec:       v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: u.Name, UID: string(u.UID)}},
	})
}
