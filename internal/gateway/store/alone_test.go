// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
)

// Benchmarks of the webhook's own work on one user, from the handler to the Kubernetes client and
// back. The client costs almost nothing: it answers with an object that it has already.

const aloneID = "0f8fad5b-d9cb-469f-a165-70867728950e"

// aloneClient answers each write with a copy of next, at a new version.
type aloneClient struct {
	client.WithWatch
	next v1alpha1.ScimUser
}

func (c *aloneClient) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
	c.next.Generation++
	c.next.ResourceVersion = strconv.FormatInt(c.next.Generation, 10)
	c.next.DeepCopyInto(o.(*v1alpha1.ScimUser))
	return nil
}

func (c *aloneClient) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	c.next.DeepCopyInto(o.(*v1alpha1.ScimUser))
	return nil
}

type aloneToken struct{}

func (aloneToken) Authenticate(context.Context, string) (server.Identity, error) {
	return server.Identity{Name: "alone"}, nil
}

// newAlone is a server whose directory contains one user.
func newAlone(tb testing.TB) http.Handler {
	tb.Helper()
	d, err := New(Options{Config: &rest.Config{Host: "http://127.0.0.1:1"}, Namespace: "alone", Log: logr.Discard()})
	if err != nil {
		tb.Fatal(err)
	}
	active, primary := true, true
	fake := &aloneClient{next: v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "alone", Name: aloneID, UID: types.UID(aloneID), ResourceVersion: "1", Generation: 1,
			CreationTimestamp: metav1.NewTime(time.Unix(1_700_000_000, 0)),
		},
		Spec: v1alpha1.ScimUserSpec{
			UserName: "ada@example.test", ExternalID: "00u1", Active: &active, DisplayName: "Ada Lovelace", Title: "Engineer",
			Name:         &v1alpha1.Name{GivenName: "Ada", FamilyName: "Lovelace", Formatted: "Ada Lovelace"},
			Emails:       []v1alpha1.MultiValue{{Value: "ada@example.test", Type: "work", Primary: &primary}, {Value: "ada@home.test", Type: "home"}},
			PhoneNumbers: []v1alpha1.MultiValue{{Value: "+44 20 1", Type: "work"}}, Department: "Payments", EmployeeNumber: "7",
			Addresses: []v1alpha1.Address{{StreetAddress: "12 St James's Square", Locality: "London", Country: "GB", Type: "work"}},
			Revision:  1,
		},
	}}
	d.client = fake
	r, err := d.userRecord(fake.next.DeepCopy())
	if err != nil {
		tb.Fatal(err)
	}
	d.users.storeWrite(r)
	return server.New(server.Options{
		Users: d.Users(), Groups: d.Groups(), Tokens: aloneToken{}, Log: logr.Discard(),
		Configuration: func() server.Configuration { return server.Configuration{Known: true, SCIM: true, Groups: true} },
	})
}

// alone serves one request.
func alone(tb testing.TB, handler http.Handler, method, body string) {
	r := httptest.NewRequest(method, server.BasePath+"/Users/"+aloneID, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		tb.Fatalf("%d %s", w.Code, w.Body)
	}
}

func replaceOp(path, value string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"` + path + `","value":` + value + `}]}`
}

// TestPatchAllocates: a PATCH decodes the user once and encodes the result once. Each further time
// costs more than a hundred allocations.
func TestPatchAllocates(t *testing.T) {
	handler := newAlone(t)
	if n := testing.AllocsPerRun(100, func() { alone(t, handler, "PATCH", replaceOp("active", "false")) }); n > 350 {
		t.Errorf("a PATCH allocates %v times, must be at most 350", n)
	}
}

func BenchmarkUserAlone(b *testing.B) {
	const put = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@example.test","displayName":"%s",
		"emails":[{"value":"ada@example.test","type":"work","primary":true}],"name":{"givenName":"Ada"}}`
	for _, bench := range []struct{ name, method, body, other string }{
		{"Nothing", "", "", ""}, // the cost of the benchmark itself
		{"PatchActive", "PATCH", replaceOp("active", "false"), replaceOp("active", "false")},
		{"PatchEmail", "PATCH", replaceOp(`emails[type eq \"home\"].value`, `"a@home.test"`), replaceOp(`emails[type eq \"home\"].value`, `"b@home.test"`)},
		{"PatchUnchanged", "PATCH", replaceOp("title", `"Engineer"`), replaceOp("title", `"Engineer"`)},
		{"Put", "PUT", fmt.Sprintf(put, "Ada"), fmt.Sprintf(put, "Ada L.")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			handler := newAlone(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				switch {
				case bench.method == "":
				case i%2 == 0:
					alone(b, handler, bench.method, bench.body)
				default:
					alone(b, handler, bench.method, bench.other)
				}
			}
		})
	}
}
