// SPDX-License-Identifier: Apache-2.0

// Package seed writes users directly into etcd, through its JSON gateway, because creating a
// hundred thousand through the API server takes longer than all measurements. They are copies of
// one user who was pushed over SCIM and is Ready, so each has a realistic status and managed
// fields. To the API server they are objects like any others.
package seed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// Etcd is the store behind the API server.
type Etcd struct {
	url  string
	http *http.Client
}

// NewEtcd returns a client of etcd on a port of this machine.
func NewEtcd(port int) Etcd {
	return Etcd{url: fmt.Sprintf("http://127.0.0.1:%d", port), http: &http.Client{Timeout: time.Minute}}
}

// registry returns the prefix of the keys of our kinds in etcd.
func registry(resource string) string {
	return "/registry/" + v1alpha1.GroupVersion.Group + "/" + resource + "/" + devenv.Namespace + "/"
}

func (e Etcd) call(ctx context.Context, path string, in, out any) error {
	content, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	answer, err := e.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd %s: %s: %.200s", path, answer.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

func (e Etcd) get(ctx context.Context, key string) (string, error) {
	var found struct {
		KVs []struct{ Value []byte }
	}
	if err := e.call(ctx, "/v3/kv/range", map[string]any{"key": []byte(key)}, &found); err != nil {
		return "", err
	}
	if len(found.KVs) != 1 {
		return "", fmt.Errorf("etcd holds %d values under %s", len(found.KVs), key)
	}
	return string(found.KVs[0].Value), nil
}

// Wipe removes all objects of these kinds of the API group, such as "scimusers".
func (e Etcd) Wipe(ctx context.Context, resources ...string) error {
	for _, resource := range resources {
		from := registry(resource)
		end := from[:len(from)-1] + "0" // the character behind the slash
		if err := e.call(ctx, "/v3/kv/deleterange", map[string]any{"key": []byte(from), "range_end": []byte(end)}, nil); err != nil {
			return err
		}
	}
	return nil
}

// put stores pairs in one transaction, at most 128.
func (e Etcd) put(ctx context.Context, pairs [][2]string) error {
	puts := make([]any, len(pairs))
	for i, p := range pairs {
		puts[i] = map[string]any{"requestPut": map[string]any{"key": []byte(p[0]), "value": []byte(p[1])}}
	}
	return e.call(ctx, "/v3/kv/txn", map[string]any{"success": puts}, nil)
}

// Template is a user and their claim as the API server stored them.
type Template struct {
	of          Person
	user, claim string
}

// Template reads the user u and their claim from etcd.
func (e Etcd) Template(ctx context.Context, u *v1alpha1.ScimUser) (Template, error) {
	t := Template{of: Person{ID: u.Name, Name: u.Spec.UserName, UID: string(u.UID), Account: u.Status.Account}}
	var err, claimErr error
	t.user, err = e.get(ctx, registry("scimusers")+t.of.ID)
	t.claim, claimErr = e.get(ctx, registry("nameclaims")+claims.ObjectName(v1alpha1.ClaimUser, t.of.Name))
	var claim v1alpha1.NameClaim
	if err := errors.Join(err, claimErr); err != nil {
		return t, err
	}
	err = json.Unmarshal([]byte(t.claim), &claim)
	t.of.ClaimUID = string(claim.UID)
	return t, err
}

// copies returns the pairs to store for p.
func (t Template) copies(p Person) [][2]string {
	was, is := claims.ObjectName(v1alpha1.ClaimUser, t.of.Name), claims.ObjectName(v1alpha1.ClaimUser, p.Name)
	pairs := []string{t.of.ID, p.ID, t.of.Name, p.Name, t.of.UID, p.UID, was, is, t.of.ClaimUID, p.ClaimUID}
	if p.Account != "" {
		pairs = append(pairs, t.of.Account, p.Account)
	}
	change := strings.NewReplacer(pairs...)
	return [][2]string{
		{registry("scimusers") + p.ID, change.Replace(t.user)},
		{registry("nameclaims") + is, change.Replace(t.claim)},
	}
}

// Copy returns p as the API server will show it.
func (t Template) Copy(p Person) (*v1alpha1.ScimUser, error) {
	var u v1alpha1.ScimUser
	err := json.Unmarshal([]byte(t.copies(p)[0][1]), &u)
	return &u, err
}

// Put stores a copy of the template for each of the users.
func (e Etcd) Put(ctx context.Context, t Template, people []Person) error {
	const perTransaction = 50
	begun := time.Now()
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(4)
	for from := 0; from < len(people); from += perTransaction {
		progress(begun, from, len(people))
		work.Go(func() error {
			var pairs [][2]string
			for _, p := range people[from:min(from+perTransaction, len(people))] {
				pairs = append(pairs, t.copies(p)...)
			}
			return e.put(ctx, pairs)
		})
	}
	return work.Wait()
}

// progress prints the progress of a long operation, every 20,000 users.
func progress(begun time.Time, done, all int) {
	if done > 0 && done%20_000 == 0 {
		fmt.Printf("  %d of %d users seeded after %s\n", done, all, time.Since(begun).Round(time.Second))
	}
}

// Visible waits until the API server's own cache contains the user with that id. Users are seeded
// faster than the cache reads them, and a client that starts to watch meanwhile would wait for
// that.
func Visible(ctx context.Context, c client.Reader, id string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	cached := &client.ListOptions{Namespace: devenv.Namespace, Raw: &metav1.ListOptions{ResourceVersion: "0", FieldSelector: "metadata.name=" + id}}
	for {
		var list v1alpha1.ScimUserList
		if err := c.List(ctx, &list, cached); err != nil {
			return err
		}
		if len(list.Items) > 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server to take in everybody up to %s: %w", id, ctx.Err())
		}
	}
}
