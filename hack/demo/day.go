package main

import (
	"context"
	"fmt"
	"strings"
)

// person is somebody of the company, and what must have become of them by now.
type person struct {
	first, last string
	id          string
	userName    string
	roles       string // those besides ROLE_USER
	gone        bool
}

// day is the story. Every step ends with a look at everybody, which fails when it is not as told.
func (d *demo) day(ctx context.Context) error {
	ada := &person{first: "Ada", last: "Arrow"}
	ben := &person{first: "Ben", last: "Brook"}
	cleo := &person{first: "Cleo", last: "Cliff"}
	all := []*person{ada, ben, cleo}
	for _, p := range all {
		p.userName = d.name(p.first)
	}
	payments, platform := "Payments "+d.tag, "Platform "+d.tag
	var paymentsID, platformID string

	fmt.Printf("A small company's day, in the shapes that Okta and Entra ID send. Tag of this run: %s\n", d.tag)
	steps := []struct {
		title, told string
		act         func() error
	}{
		{"Three people arrive", "Nobody gave them anything yet: they are in the default pool and hold the user role.", func() error {
			return first(d.oktaArrival(ctx, ada), d.oktaArrival(ctx, ben), d.entraArrival(ctx, cleo, "Platform"))
		}},
		{"A platform engineer declares a pool", "kubectl apply: the provider's group \"" + payments + "\" is to fill it, and it grants ROLE_IGNORE_QUOTA.", func() error {
			return d.declare(ctx, "payments-"+d.tag, fmt.Sprintf(`apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata:
  name: payments-%s
spec:
  groups: [{displayName: %s}]
  roles: [ROLE_IGNORE_QUOTA]
`, d.tag, payments))
		}},
		{"Groups are pushed", "Okta finds the declared pool as a group and fills it. Entra ID pushes a group that nobody declared: a pool without roles.", func() (err error) {
			if paymentsID, err = d.oktaGroup(ctx, payments, ada, ben); err != nil {
				return err
			}
			platformID, err = d.entraGroup(ctx, platform, cleo)
			ada.roles, ben.roles = "ROLE_IGNORE_QUOTA", "ROLE_IGNORE_QUOTA"
			return err
		}},
		{"The pushed group's pool is given a role", "kubectl apply, of the roles alone: who is in the pool inherits them.", func() error {
			cleo.roles = "ROLE_MANAGER"
			return d.declare(ctx, platformID, fmt.Sprintf(`apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata:
  name: %s
spec:
  roles: [ROLE_MANAGER]
`, platformID))
		}},
		{"Ben moves team", "From Payments to Platform: he loses what Payments gave him and inherits what Platform gives.", func() error {
			ben.roles = "ROLE_MANAGER"
			return first(d.leaveGroup(ctx, paymentsID, ben), d.joinGroup(ctx, platformID, ben))
		}},
		{"Cleo is renamed", "Same person, same account, same roles; the name changes everywhere.", func() error {
			cleo.last = "Crest"
			return d.entraRename(ctx, cleo, d.name("cleo.crest"))
		}},
		{"Ada leaves", "Okta deactivates her: she can't sign in any more; the record stays.", func() error {
			ada.gone = true
			return d.oktaDeactivate(ctx, ada)
		}},
	}
	for i, step := range steps {
		fmt.Printf("\n%d. %s\n   %s\n", i+1, step.title, step.told)
		if err := step.act(); err != nil {
			return err
		}
		if err := d.show(ctx, all); err != nil {
			return err
		}
	}
	fmt.Printf(`
That was the day. Look around:
  the portal's User Management   %s
  kubectl                        %s --kubeconfig %s get scimusers,agentpools
  one person, with the reasons   … get scimuser %s -o yaml
`, d.values.PortalURL, d.values.Kubectl, d.values.Kubeconfig, cleo.id)
	return nil
}

// name is a user name of this run.
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
