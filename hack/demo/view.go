// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
)

// patience is the maximum time until a step takes effect.
const patience = time.Minute

// row is one user in Kubernetes and in the portal, or at the SCIM target.
type row struct {
	user    v1alpha1.ScimUser
	account portalv1.User
}

// show waits until each user has the expected account, and prints the users.
func (d *demo) show(ctx context.Context, people []*person) error {
	begun := time.Now()
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		rows, err := d.look(waiting, people)
		if err == nil {
			return d.print(ctx, rows, time.Since(begun))
		}
		select {
		case <-ticker.C:
		case <-waiting.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("after %s this is not as expected: %w", patience, err))
		}
	}
}

// look reads each user. An error names the users that differ, with their conditions.
func (d *demo) look(ctx context.Context, people []*person) ([]row, error) {
	rows := make([]row, len(people))
	for i, p := range people {
		r := &rows[i]
		if err := d.kube.Get(ctx, client.ObjectKey{Namespace: d.values.Namespace, Name: p.id}, &r.user); err != nil {
			return nil, err
		}
		ready := meta.FindStatusCondition(r.user.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != r.user.Generation {
			return nil, fmt.Errorf("%s is not Ready: %s", p.userName, describe(ready))
		}
		if have, want := statusRoles(&r.user), p.wantRoles(); !p.gone && !slices.Equal(have, want) {
			return nil, fmt.Errorf("the status of %s has the roles %v, must have %v", p.userName, have, want)
		}
		account, err := d.account(ctx, p.userName)
		if err != nil {
			return nil, err
		}
		r.account = account
		if problem := p.problem(r.account, d.portal != nil); problem != "" {
			return nil, fmt.Errorf("%s in the portal: %s", p.userName, problem)
		}
	}
	return rows, nil
}

// wantRoles returns the sorted roles that the user is expected to have.
func (p *person) wantRoles() []string {
	want := []string{"ROLE_USER"}
	if p.roles != "" {
		want = append(want, p.roles)
	}
	slices.Sort(want)
	return want
}

func statusRoles(u *v1alpha1.ScimUser) []string {
	var roles []string
	for _, r := range u.Status.Roles {
		roles = append(roles, r.Name)
	}
	slices.Sort(roles)
	return roles
}

// account returns the one account with that user name.
func (d *demo) account(ctx context.Context, userName string) (portalv1.User, error) {
	if d.portal == nil {
		return d.targetAccount(ctx, userName)
	}
	answer, err := d.portal.ListUsersWithResponse(ctx, &portalv1.ListUsersParams{UserName: &userName})
	if err != nil {
		return portalv1.User{}, err
	}
	if answer.JSON200 == nil || len(answer.JSON200.Items) != 1 {
		return portalv1.User{}, fmt.Errorf("the portal does not have one account %s: %s", userName, answer.Body)
	}
	return answer.JSON200.Items[0], nil
}

// targetAccount is account for a SCIM target: what its user has.
func (d *demo) targetAccount(ctx context.Context, userName string) (a portalv1.User, err error) {
	query := url.Values{"filter": {fmt.Sprintf("userName eq %q", userName)}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.values.TargetURL+"/Users?"+query.Encode(), http.NoBody)
	if err != nil {
		return a, err
	}
	r.Header.Set("Authorization", "Bearer "+d.values.TargetToken)
	answer, err := d.over.Do(r)
	if err != nil {
		return a, err
	}
	defer answer.Body.Close()
	var list struct {
		Resources []struct {
			Active *bool
			Roles  []struct{ Value string }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return a, fmt.Errorf("the target answers %s: %w", answer.Status, err)
	}
	if len(list.Resources) != 1 {
		return a, fmt.Errorf("the target has %d users %s (%s)", len(list.Resources), userName, answer.Status)
	}
	user := list.Resources[0]
	a.Status = portalv1.StatusActive
	if user.Active != nil && !*user.Active {
		a.Status = portalv1.StatusDeactivated
	}
	for _, role := range user.Roles {
		a.Roles = append(a.Roles, role.Value)
	}
	slices.Sort(a.Roles)
	return a, nil
}

// problem returns the difference between the account and the expected one, or "". In a portal, the
// account of an active user is read-only.
func (p *person) problem(a portalv1.User, readOnly bool) string {
	want := p.wantRoles()
	have := slices.Sorted(slices.Values(a.Roles))
	switch {
	case p.gone && a.Status != "Deactivated":
		return "the status is " + string(a.Status)
	case p.gone:
		return ""
	case a.Status != "Active" || a.ReadOnly != readOnly:
		return fmt.Sprintf("the status is %s, read-only: %v", a.Status, a.ReadOnly)
	case !slices.Equal(have, want):
		return fmt.Sprintf("the roles are %v, must be %v", have, want)
	}
	return ""
}

func describe(c *metav1.Condition) string {
	if c == nil {
		return "the manager has not seen the user yet"
	}
	return c.Reason + ": " + c.Message
}

// print writes the table. Pools have their names in the portal and the source of the membership.
func (d *demo) print(ctx context.Context, rows []row, took time.Duration) error {
	var pools v1alpha1.AgentPoolList
	if err := d.kube.List(ctx, &pools, client.InNamespace(d.values.Namespace)); err != nil {
		return err
	}
	names := map[string]string{}
	for _, p := range pools.Items {
		names[p.Name] = cmp.Or(p.Status.DisplayName, p.Name)
	}
	fmt.Printf("   after %s:\n\n", took.Round(10*time.Millisecond))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	where := "IN THE PORTAL"
	if d.portal == nil {
		where = "AT THE TARGET"
	}
	fmt.Fprintf(w, "   IN KUBERNETES\tREADY\tPOOLS (WHY)\t%s\tROLES\n", where)
	for _, r := range rows {
		var in []string
		for _, p := range r.user.Status.Pools {
			in = append(in, fmt.Sprintf("%s (%s)", names[p.Name], p.Source))
		}
		state := string(r.account.Status)
		if r.account.ReadOnly {
			state += ", read-only"
		}
		fmt.Fprintf(w, "   %s\t%s\t%s\t%s\t%s\n", r.user.Spec.UserName, "True", strings.Join(in, ", "), state, strings.Join(r.account.Roles, ", "))
	}
	return w.Flush()
}
