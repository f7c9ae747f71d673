// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"lightrun.com/scim-operator/test/framework/controlplane"
)

// ask sends a GET and returns the number of results, -1 for an answer that is not a list.
func ask(t *testing.T, url string) (status, results int, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ TotalResults *int }
	if json.Unmarshal(body, &list) != nil || list.TotalResults == nil {
		return answer.StatusCode, -1, answer.Header
	}
	return answer.StatusCode, *list.TotalResults, answer.Header
}

// TestKindIsNotServed: while and after a CustomResourceDefinition is deleted, requests get 503, and
// the directory never looks empty. When it is back, requests succeed again.
func TestKindIsNotServed(t *testing.T) {
	plane, err := controlplane.Start(controlplane.Root())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := apiextensions.AddToScheme(plane.Scheme); err != nil {
		t.Fatal(err)
	}
	for _, plural := range []string{"scimusers", "scimgroups", "scimgroupslices", "nameclaims"} {
		t.Run(plural, func(t *testing.T) {
			w := world{ControlPlane: plane, namespace: plane.Namespace(t)}
			w.configure(t)
			d := w.replica(t)
			base := serve(t, d)
			people := createUsers(t, d, 20)
			g, err := createGroup(t, d, "Payments", people...)
			if err != nil {
				t.Fatal(err)
			}
			definition := &apiextensions.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: plural + ".iam.lightrun.com"}}
			if err := plane.Client.Delete(t.Context(), definition); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			refused := func() bool {
				all := true
				for path, want := range map[string]int{
					"/Users?count=1": len(people), "/Groups?count=1": 1, "/Users/" + people[0]: -1, "/Groups/" + g.ID: -1,
					"/Users?filter=userName%20eq%20%22user0%22": 1, "/Groups?filter=displayName%20eq%20%22Payments%22": 1,
					fmt.Sprintf("/Groups?filter=members%%20eq%%20%%22%s%%22", people[0]): 1,
				} {
					status, results, header := ask(t, base+path)
					switch {
					case status == http.StatusServiceUnavailable:
						if header.Get("Retry-After") == "" {
							t.Errorf("GET %s: 503 without Retry-After", path)
						}
						continue
					case status != http.StatusOK || results != want:
						t.Errorf("GET %s after %s: %d with %d results", path, time.Since(begun), status, results)
					}
					all = false
				}
				return all
			}
			eventually(t, refused)
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("it took %s until requests were refused", took)
			}
			crds := filepath.Join(controlplane.Root(), "config", "crd", "bases", "iam.lightrun.com_"+plural+".yaml")
			eventually(t, func() bool {
				return apierrors.IsNotFound(plane.Client.Get(t.Context(), client.ObjectKeyFromObject(definition), definition))
			})
			if _, err := envtest.InstallCRDs(plane.Config, envtest.CRDInstallOptions{Paths: []string{crds}, ErrorIfPathMissing: true}); err != nil {
				t.Fatal(err)
			}
			back := time.Now()
			eventually(t, func() bool { return d.Configuration().Known })
			t.Logf("served again %s after the definition was created", time.Since(back))
			want := len(people)
			if plural == "scimusers" {
				want = 0 // deleted with the definition
			}
			if _, results, _ := ask(t, base+"/Users?count=1"); results != want {
				t.Errorf("there are %d users, must be %d", results, want)
			}
			if id := createUser(t, d, "a new user"); !d.Knows(id) {
				t.Error("the cache must contain a new user")
			}
			if _, err := createGroup(t, d, "A new group"); err != nil {
				t.Error(err)
			}
		})
	}
}
