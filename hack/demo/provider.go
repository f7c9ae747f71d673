// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/idp"
)

type object = idp.Object

// scim sends one request and shows it. A status of 300 or above is an error.
func (d *demo) scim(ctx context.Context, method, path string, body any) (idp.Answer, error) {
	a, err := d.provider.Send(ctx, method, path, body)
	if err != nil {
		return a, fmt.Errorf("the SCIM webhook does not answer (is `make run` still running?): %w", err)
	}
	shown, err := url.QueryUnescape(path)
	if err != nil {
		shown = path
	}
	fmt.Printf("   > %-5s %s → %d\n", method, shown, a.Status)
	if a.Status >= http.StatusMultipleChoices {
		return a, fmt.Errorf("%s %s returned %d: %s", method, shown, a.Status, a.Detail())
	}
	return a, nil
}

// find searches with a filter, as providers do before they create a user or
// group, and returns the results.
func (d *demo) find(ctx context.Context, kind, filter string) ([]any, error) {
	answer, err := d.scim(ctx, "GET", idp.Search(kind, filter), nil)
	return answer.Resources(), err
}

// create creates a user and stores the id.
func (d *demo) create(ctx context.Context, p *person, body object) error {
	answer, err := d.scim(ctx, "POST", "/Users", body)
	p.id = answer.ID()
	return err
}

// oktaArrival creates a user as Okta does: a search, then a create with a placeholder password and
// without groups.
func (d *demo) oktaArrival(ctx context.Context, p *person) error {
	if _, err := d.find(ctx, "Users", fmt.Sprintf("userName eq %q", p.userName)); err != nil {
		return err
	}
	return d.create(ctx, p, object{
		"schemas": []string{idp.SchemaUser}, "userName": p.userName, "name": object{"givenName": p.first, "familyName": p.last},
		"emails":      []any{object{"primary": true, "value": p.userName, "type": "work"}},
		"displayName": p.first + " " + p.last, "locale": "en-US", "externalId": "00u" + d.tag + p.first, "groups": []any{}, "password": "1Abcd" + d.tag, "active": true,
	})
}

// entraArrival creates a user as Entra ID does: a search by externalId, then a POST with the
// enterprise extension and meta in the body.
func (d *demo) entraArrival(ctx context.Context, p *person, department string) error {
	external := strings.ToLower(p.first) + "-" + d.tag
	if _, err := d.find(ctx, "Users", fmt.Sprintf("externalId eq %q", external)); err != nil {
		return err
	}
	return d.create(ctx, p, object{
		"schemas": []string{idp.SchemaUser, idp.SchemaEnterprise}, "externalId": external, "userName": p.userName, "active": "True",
		"displayName": p.first + " " + p.last, "emails": []any{object{"primary": true, "type": "work", "value": p.userName}},
		"meta": object{"resourceType": "User"}, "name": object{"formatted": p.first + " " + p.last, "familyName": p.last, "givenName": p.first},
		"roles": []any{}, idp.SchemaEnterprise: object{"department": department},
	})
}

// oktaGroup pushes a group as Okta does: it searches for the name, creates the group, and adds the
// members.
func (d *demo) oktaGroup(ctx context.Context, name string, members ...*person) (id string, err error) {
	found, err := d.find(ctx, "Groups", fmt.Sprintf("displayName eq %q", name))
	if err != nil {
		return "", err
	}
	if len(found) != 0 {
		return "", fmt.Errorf("%d groups named %q exist before the first push, want none", len(found), name)
	}
	answer, err := d.scim(ctx, "POST", "/Groups", object{"schemas": []string{idp.SchemaGroup}, "displayName": name, "members": []any{}})
	if err != nil {
		return "", err
	}
	id = answer.ID()
	var values []any
	for _, p := range members {
		values = append(values, object{"value": p.id, "display": p.userName})
	}
	_, err = d.scim(ctx, "PATCH", "/Groups/"+id, idp.Patch(object{"op": "add", "path": "members", "value": values}))
	return id, err
}

// entraGroup pushes a group as Entra ID does: a create with Microsoft's schema in addition, then a
// PATCH for each member.
func (d *demo) entraGroup(ctx context.Context, name string, members ...*person) (id string, err error) {
	answer, err := d.scim(ctx, "POST", "/Groups", object{
		"schemas":    []string{idp.SchemaGroup, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"},
		"externalId": "g-" + d.tag, "displayName": name, "meta": object{"resourceType": "Group"},
	})
	if err != nil {
		return "", err
	}
	id = answer.ID()
	for _, p := range members {
		if err := d.joinGroup(ctx, id, p); err != nil {
			return "", err
		}
	}
	return id, nil
}

// joinGroup adds p to the group with the PATCH that Entra ID sends. leaveGroup removes p with the
// PATCH that Okta sends.
func (d *demo) joinGroup(ctx context.Context, group string, p *person) error {
	_, err := d.scim(ctx, "PATCH", "/Groups/"+group, idp.Patch(object{"op": "Add", "path": "members", "value": []any{object{"$ref": nil, "value": p.id}}}))
	return err
}

func (d *demo) leaveGroup(ctx context.Context, group string, p *person) error {
	_, err := d.scim(ctx, "PATCH", "/Groups/"+group, idp.Patch(idp.RemoveMember(p.id)))
	return err
}

func (d *demo) entraRename(ctx context.Context, p *person, to string) error {
	_, err := d.scim(ctx, "PATCH", "/Users/"+p.id, idp.Patch(
		object{"op": "Replace", "path": "userName", "value": to},
		object{"op": "Replace", "path": "name.familyName", "value": p.last},
		object{"op": "Replace", "path": "displayName", "value": p.first + " " + p.last},
		object{"op": "Replace", "path": `emails[type eq "work"].value`, "value": to}))
	p.userName = to
	return err
}

func (d *demo) oktaDeactivate(ctx context.Context, p *person) error {
	_, err := d.scim(ctx, "PATCH", "/Users/"+p.id, idp.Patch(idp.SetActive(false)))
	return err
}

// apply runs kubectl apply, as a platform engineer does.
func (d *demo) apply(ctx context.Context, manifest string) error {
	return d.kubectl(ctx, manifest, "apply", "--server-side", "-f", "-")
}

// ready waits until the pool is Ready.
func (d *demo) ready(ctx context.Context, pool string) error {
	return d.kubectl(ctx, "", "wait", "--for=create", "--for=condition=Ready", "--timeout=60s", "agentpool/"+pool)
}

// record returns the id of the pool's record in the portal.
func (d *demo) record(ctx context.Context, name string) (string, error) {
	var pool v1alpha1.AgentPool
	if err := d.kube.Get(ctx, client.ObjectKey{Namespace: d.values.Namespace, Name: name}, &pool); err != nil {
		return "", err
	}
	if pool.Status.Pool == "" {
		return "", fmt.Errorf("AgentPool %s has no record in the portal", name)
	}
	return pool.Status.Pool, nil
}

// adopted waits until the AgentPool that the manager created for the group (own) is deleted, and
// checks that the declared AgentPool has taken over that pool's record in the portal.
func (d *demo) adopted(ctx context.Context, declared, own, record string) error {
	if err := d.kubectl(ctx, "", "wait", "--for=delete", "--timeout=60s", "agentpool/"+own); err != nil {
		return err
	}
	now, err := d.record(ctx, declared)
	if err == nil && now != record {
		err = fmt.Errorf("AgentPool %s has the record %s in the portal, want %s, the record of the group's own pool", declared, now, record)
	}
	if err == nil {
		fmt.Printf("   the pool's record in the portal is the same as before: %s\n", record)
	}
	return err
}

func (d *demo) kubectl(ctx context.Context, stdin string, args ...string) error {
	fmt.Println("   > kubectl", strings.Join(args, " "))
	if stdin != "" {
		fmt.Println("       " + strings.ReplaceAll(stdin, "\n", "\n       "))
	}
	cmd := exec.CommandContext(ctx, d.values.Kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.values.Kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
