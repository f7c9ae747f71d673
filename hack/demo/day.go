// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
)

// person is one user of the company, with the account that is expected at this step.
type person struct {
	first, last string
	id          string
	userName    string
	roles       string // in addition to ROLE_USER
	gone        bool
}

// day returns the steps of the story. Every step ends with a comparison of each user's account with
// the expected one.
func (d *demo) day(ctx context.Context) error {
	ada := &person{first: "Ada", last: "Arrow"}
	ben := &person{first: "Ben", last: "Brook"}
	cleo := &person{first: "Cleo", last: "Cliff"}
	all := []*person{ada, ben, cleo}
	for _, p := range all {
		p.userName = d.name(p.first)
	}
	payments, platform := "Payments "+d.tag, "Platform "+d.tag
	var paymentsID, platformID, record string

	fmt.Printf("A small company's day, with the requests that Okta and Entra ID send. Tag of this run: %s\n", d.tag)
	steps := []struct {
		title, about string
		act          func() error
	}{
		{"Three users are pushed", "They are in no group yet: each is in the default pool and has the user role.", func() error {
			return first(d.oktaArrival(ctx, ada), d.oktaArrival(ctx, ben), d.entraArrival(ctx, cleo, "Platform"))
		}},
		{"A platform engineer declares a pool", "kubectl apply: the group \"" + payments + "\" fills it, and it grants ROLE_IGNORE_QUOTA. The group does not exist yet.", func() error {
			return d.apply(ctx, pool("payments-"+d.tag, payments, "ROLE_IGNORE_QUOTA"))
		}},
		{"Okta pushes that group", "Its members are in the declared pool and inherit the role.", func() (err error) {
			if paymentsID, err = d.oktaGroup(ctx, payments, ada, ben); err != nil {
				return err
			}
			ada.roles, ben.roles = "ROLE_IGNORE_QUOTA", "ROLE_IGNORE_QUOTA"
			return d.ready(ctx, "payments-"+d.tag)
		}},
		{"Entra ID pushes a group that no pool names", "The group gets a pool of its own, without roles.", func() (err error) {
			if platformID, err = d.entraGroup(ctx, platform, cleo); err != nil {
				return err
			}
			if err := d.ready(ctx, platformID); err != nil {
				return err
			}
			record, err = d.record(ctx, platformID)
			return err
		}},
		{"A declared pool grants that group a role", "kubectl apply: the declared pool takes over the own pool's record in the portal, with its agents; the own pool's object is deleted.", func() error {
			cleo.roles = "ROLE_MANAGER"
			declared := "platform-" + d.tag
			if err := first(d.apply(ctx, pool(declared, platform, "ROLE_MANAGER")), d.ready(ctx, declared)); err != nil {
				return err
			}
			return d.adopted(ctx, declared, platformID, record)
		}},
		{"Ben changes teams", "From Payments to Platform: he loses the roles of Payments and inherits those of Platform.", func() error {
			ben.roles = "ROLE_MANAGER"
			return first(d.leaveGroup(ctx, paymentsID, ben), d.joinGroup(ctx, platformID, ben))
		}},
		{"Cleo is renamed", "Same person, same account, same roles, another name.", func() error {
			cleo.last = "Crest"
			return d.entraRename(ctx, cleo, d.name("cleo.crest"))
		}},
		{"Ada leaves", "Okta deactivates her: she cannot sign in any more, and the account stays.", func() error {
			ada.gone = true
			return d.oktaDeactivate(ctx, ada)
		}},
	}
	for i, step := range steps {
		fmt.Printf("\n%d. %s\n   %s\n", i+1, step.title, step.about)
		if err := step.act(); err != nil {
			return err
		}
		if err := d.show(ctx, all); err != nil {
			return err
		}
	}
	fmt.Printf(`
The day is over. See the results in:
  %s
  kubectl                        %s --kubeconfig %s get scimusers,scimgroups,agentpools
  one person, with the reasons   … get scimuser %s -o yaml
`, d.results(), d.values.Kubectl, d.values.Kubeconfig, cleo.id)
	return nil
}

// results says where the accounts are.
func (d *demo) results() string {
	if d.portal == nil {
		return "the target's users             " + d.values.TargetURL + "/Users"
	}
	return "the portal's User Management   " + d.values.PortalURL
}

// pool returns the manifest of a pool that one group fills.
func pool(name, group, role string) string {
	return fmt.Sprintf(`apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata:
  name: %s
spec:
  groups:
    - displayName: %s
  roles: [%s]`, name, group, role)
}

// name returns a user name of this run.
func (d *demo) name(first string) string {
	return strings.ToLower(first) + "." + d.tag + "@example.test"
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
