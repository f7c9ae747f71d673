package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/devenv"
)

// People are seeded straight into etcd, through its JSON gateway: copies of one person who arrived over SCIM and whom the manager brought
// to Ready, so that each has the status and the managed fields that people really have. To the API server they are objects like any others.

// etcd is the store behind the API server.
type etcd struct {
	url  string
	http *http.Client
}

// registry is where the API server keeps a kind of ours.
func registry(resource string) string {
	return "/registry/" + v1alpha1.GroupVersion.Group + "/" + resource + "/" + devenv.Namespace + "/"
}

func (e etcd) call(ctx context.Context, path string, in, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+path, bytes.NewReader(body(in)))
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

func (e etcd) get(ctx context.Context, key string) (string, error) {
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

// wipe removes all objects of a kind.
func (e etcd) wipe(ctx context.Context, resource string) error {
	from := registry(resource)
	end := from[:len(from)-1] + "0" // the character behind the slash
	return e.call(ctx, "/v3/kv/deleterange", map[string]any{"key": []byte(from), "range_end": []byte(end)}, nil)
}

// put stores pairs in one transaction, at most 128.
func (e etcd) put(ctx context.Context, pairs [][2]string) error {
	puts := make([]any, len(pairs))
	for i, p := range pairs {
		puts[i] = map[string]any{"requestPut": map[string]any{
			"key": base64.StdEncoding.EncodeToString([]byte(p[0])), "value": base64.StdEncoding.EncodeToString([]byte(p[1])),
		}}
	}
	return e.call(ctx, "/v3/kv/txn", map[string]any{"success": puts}, nil)
}

// template is a person and their claim as the API server stored them.
type template struct {
	name, id, uid, claimUID string
	user, claim             string
}

func (e etcd) template(ctx context.Context, u *v1alpha1.ScimUser) (template, error) {
	t := template{name: u.Spec.UserName, id: u.Name, uid: string(u.UID)}
	var err, claimErr error
	t.user, err = e.get(ctx, registry("scimusers")+u.Name)
	t.claim, claimErr = e.get(ctx, registry("nameclaims")+claims.ObjectName(v1alpha1.ClaimUser, t.name))
	var claim v1alpha1.NameClaim
	if err := errors.Join(err, claimErr); err != nil {
		return t, err
	}
	err = json.Unmarshal([]byte(t.claim), &claim)
	t.claimUID = string(claim.UID)
	return t, err
}

// copies are the pairs to store for person i.
func (t template) copies(i int) [][2]string {
	id, name := personID(i), personName(i)
	uid := uuid.NewSHA1(space, []byte("uid"+id)).String()
	was, is := claims.ObjectName(v1alpha1.ClaimUser, t.name), claims.ObjectName(v1alpha1.ClaimUser, name)
	change := strings.NewReplacer(t.id, id, t.name, name, t.uid, uid, was, is, t.claimUID, uuid.NewSHA1(space, []byte("claim"+id)).String())
	return [][2]string{
		{registry("scimusers") + id, change.Replace(t.user)},
		{registry("nameclaims") + is, change.Replace(t.claim)},
	}
}

// seed replaces everybody by n people.
func (e etcd) seed(ctx context.Context, t template, n int) error {
	for _, resource := range []string{"scimusers", "nameclaims", "agentpools"} {
		if err := e.wipe(ctx, resource); err != nil {
			return err
		}
	}
	const perTransaction = 50
	begun := time.Now()
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(4)
	for from := 0; from < n; from += perTransaction {
		if from > 0 && from%20_000 == 0 {
			fmt.Printf("  %d of %d people seeded after %s\n", from, n, time.Since(begun).Round(time.Second))
		}
		work.Go(func() error {
			var pairs [][2]string
			for i := from; i < min(from+perTransaction, n); i++ {
				pairs = append(pairs, t.copies(i)...)
			}
			return e.put(ctx, pairs)
		})
	}
	return work.Wait()
}
