// SPDX-License-Identifier: Apache-2.0

package preview_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/preview"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

const namespace = "company"

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Generation: 2}
}

// person returns a ScimUser that was provisioned before they got this spec.
func person(name string, spec v1alpha1.ScimUserSpec) *v1alpha1.ScimUser {
	spec.Revision = 2
	return &v1alpha1.ScimUser{ObjectMeta: meta(kubefake.SCIMID(name)), Spec: spec}
}

// had returns the account that the ScimUser has by now.
func had(name string) portalapi.AccountWrite {
	id := kubefake.SCIMID(name)
	return portalapi.AccountWrite{Owner: portalapi.Owner{UID: "uid-" + id, Name: id, Revision: 1}, UserName: name + "@example.test", DisplayName: name, Active: true}
}

func TestStepOrder(t *testing.T) {
	no := false
	for name, tc := range map[string]struct {
		reason   string
		people   []client.Object
		former   string // who left, leaving a kept record behind
		steps    []string
		changed  int
		removals int
	}{
		"NameIsFreeLater": {
			reason: "All changes except the name come first, above all the deactivation; the name follows once bob's account has released it.",
			people: []client.Object{
				person("ada", v1alpha1.ScimUserSpec{UserName: "bob@example.test", DisplayName: "Ada", Active: &no}),
				person("bob", v1alpha1.ScimUserSpec{UserName: "zed@example.test", DisplayName: "bob"}),
			},
			steps: []string{
				kubefake.SCIMID("ada") + " Update NameReleasePending displayName=Ada status=Deactivated",
				kubefake.SCIMID("ada") + " Update userName=bob@example.test",
				kubefake.SCIMID("bob") + " Update userName=zed@example.test",
			},
			changed: 2, removals: 1,
		},
		"OnlyTheNameIsLeft": {
			reason: "The newest push is recorded at once, and the name follows in the same plan.",
			people: []client.Object{
				person("ada", v1alpha1.ScimUserSpec{UserName: "bob@example.test", DisplayName: "ada"}),
				person("bob", v1alpha1.ScimUserSpec{UserName: "zed@example.test", DisplayName: "bob"}),
			},
			steps:   []string{kubefake.SCIMID("ada") + " Update NameReleasePending", kubefake.SCIMID("ada") + " Update userName=bob@example.test", kubefake.SCIMID("bob") + " Update userName=zed@example.test"},
			changed: 2,
		},
		"NameIsNeverFree": {
			reason: "While the name waits, the plan has one step without the name.",
			people: []client.Object{
				person("ada", v1alpha1.ScimUserSpec{UserName: "eve@example.test", DisplayName: "Ada"}),
				person("bob", v1alpha1.ScimUserSpec{UserName: "zed@example.test", DisplayName: "bob"}),
			},
			former:  "eve",
			steps:   []string{kubefake.SCIMID("ada") + " Update NameReleasePending displayName=Ada", kubefake.SCIMID("bob") + " Update userName=zed@example.test"},
			changed: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := fakeportal.New(t, fakeportal.Options{})
			for _, name := range []string{"ada", "bob"} {
				if _, err := p.PutAccount(t.Context(), had(name)); err != nil {
					t.Fatal(err)
				}
			}
			if tc.former != "" {
				w := had(tc.former)
				if _, err := p.PutAccount(t.Context(), w); err != nil {
					t.Fatal(err)
				}
				if err := p.ReleaseAccount(t.Context(), w.Owner, portalapi.ReleaseDeactivate); err != nil {
					t.Fatal(err)
				}
			}
			r := report(t, p, tc.people)
			var got []string
			for _, s := range r.Users {
				words := []string{s.Name, s.Action}
				if s.Reason != "" {
					words = append(words, s.Reason)
				}
				for _, c := range s.Changes {
					words = append(words, c.Field+"="+c.To)
				}
				got = append(got, strings.Join(words, " "))
			}
			if diff := cmp.Diff(tc.steps, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
			if r.Changes() != tc.changed || r.Objects() != len(tc.people)+1 || r.Guard.Removals != tc.removals {
				t.Errorf("%s\n%d of %d objects change, %d removals", tc.reason, r.Changes(), r.Objects(), r.Guard.Removals)
			}
		})
	}
}

// report previews for the people and the default pool.
func report(t *testing.T, p *fakeportal.Portal, people []client.Object) *preview.Report {
	t.Helper()
	return reportWith(t, p, people, func(*v1alpha1.IdentityConfigurationSpec) {})
}

// reportWith is report with another configuration.
func reportWith(t *testing.T, p *fakeportal.Portal, people []client.Object, edit func(*v1alpha1.IdentityConfigurationSpec)) *preview.Report {
	t.Helper()
	r, err := preview.Compute(t.Context(), preview.Options{Objects: cluster(t, people, edit), Portal: p, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cluster has the configuration, the default pool and the objects.
func cluster(t *testing.T, people []client.Object, edit func(*v1alpha1.IdentityConfigurationSpec)) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	configuration := &v1alpha1.IdentityConfiguration{ObjectMeta: meta(v1alpha1.DefaultName), Spec: v1alpha1.IdentityConfigurationSpec{
		Portal:           v1alpha1.Portal{URL: "https://portal.example.test", CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
		IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
	}}
	edit(&configuration.Spec)
	objects := append([]client.Object{
		configuration, &v1alpha1.AgentPool{ObjectMeta: meta(v1alpha1.DefaultName)},
	}, people...)
	return kubefake.New(t, scheme, objects...)
}

func TestAdoptionsSayWhoseTheAccountWas(t *testing.T) {
	p := fakeportal.New(t, fakeportal.Options{})
	for _, name := range []string{"ada", "bob"} {
		if _, err := p.PutAccount(t.Context(), had(name)); err != nil {
			t.Fatal(err)
		}
	}
	restored := person("ada", v1alpha1.ScimUserSpec{UserName: "ada@example.test", DisplayName: "ada"})
	restored.UID = "after the restore"
	again := person("bob again", v1alpha1.ScimUserSpec{UserName: "bob@example.test", DisplayName: "bob"})
	r := report(t, p, []client.Object{restored, again})
	want := map[string]string{
		"ada@example.test": "Adopt: The account that this user had before is taken over with its pools",
		"bob@example.test": "Adopt: The account of a ScimUser that is gone is taken over with its pools",
	}
	got := map[string]string{}
	for _, s := range r.Users {
		got[s.Title] = s.Action + ": " + s.Message
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRolesFollowFromPools(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		user   *v1alpha1.ScimUser
		pool   types.UID
		held   bool // a guard without a budget holds each removal
		want   []string
	}{
		"UndecidedPool": {
			reason: "Which group fills the pool is not known, so no user leaves it, also one who was pushed again under another SCIM id.",
			user:   person("ada again", v1alpha1.ScimUserSpec{UserName: "ada@example.test", DisplayName: "ada"}),
			pool:   "after the restore",
			want:   []string{"Adopt"},
		},
		"HeldMembership": {
			reason: "A user whose removal the guard holds keeps the pool and its role.",
			user:   person("ada", v1alpha1.ScimUserSpec{UserName: "ada@example.test", DisplayName: "ada"}),
			pool:   "uid-leads",
			held:   true,
			want:   []string{"Update"}, // the newest push is noted
		},
		"Leaves": {
			reason: "A user who leaves the pool loses its role.",
			user:   person("ada", v1alpha1.ScimUserSpec{UserName: "ada@example.test", DisplayName: "ada"}),
			pool:   "uid-leads",
			want:   []string{"Update", "pools=default", "roles=ROLE_USER"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := fakeportal.New(t, fakeportal.Options{})
			leads, err := p.PutPool(t.Context(), portalapi.PoolWrite{Owner: portalapi.Owner{UID: "uid-leads", Name: "leads", Revision: 1}, Name: "leads", Roles: []string{portalapi.RoleManager}})
			if err != nil {
				t.Fatal(err)
			}
			ada := had("ada")
			ada.Pools = []string{leads.ID}
			if _, err := p.PutAccount(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			pool := &v1alpha1.AgentPool{ObjectMeta: meta("leads"), Spec: v1alpha1.AgentPoolSpec{
				Roles: []v1alpha1.Role{portalapi.RoleManager}, Groups: []v1alpha1.GroupReference{{DisplayName: "leads"}},
			}}
			if pool.UID = tc.pool; tc.pool == "uid-leads" {
				pool.Status.ObservedGeneration = pool.Generation
			}
			r := reportWith(t, p, []client.Object{pool, tc.user}, func(s *v1alpha1.IdentityConfigurationSpec) {
				if zero := int32(0); tc.held {
					s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &zero, MaxPercent: &zero}
				}
			})
			var got []string
			for _, s := range r.Users {
				got = append(got, s.Action)
				for _, c := range s.Changes {
					got = append(got, c.Field+"="+c.To)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s\n%+v", tc.reason, diff, r.Pools)
			}
		})
	}
}

// TestPools has one AgentPool beside the default pool's, and what the portal has.
func TestPools(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		roles  []v1alpha1.Role
		given  func(*testing.T, *fakeportal.Portal)
		edit   func(*v1alpha1.IdentityConfigurationSpec)
		want   string // action, and reason of what waits
		waits  string // a part of why nothing is written now
	}{
		"New":     {reason: "A pool that the portal does not have is created.", want: "Create"},
		"Same":    {reason: "A pool in the desired state is left alone.", given: owned, want: "None"},
		"Changed": {reason: "A role that the pool gained is written.", roles: []v1alpha1.Role{"ROLE_IGNORE_QUOTA"}, given: owned, want: "Update"},
		"Unknown": {reason: "A role that the portal does not know waits for an administrator.", roles: []v1alpha1.Role{"ROLE_OTHER"}, given: owned, want: "None UnknownRole"},
		"Consent": {
			reason: "A pool that was created in the portal waits for consent.", want: "Wait ConsentRequired",
			given: func(t *testing.T, p *fakeportal.Portal) {
				if _, err := p.Store.CreatePool(t.Context(), fakeportal.Manager(), store.NewPool{Name: "leads"}); err != nil {
					t.Fatal(err)
				}
			},
		},
		"ReportOnly": {
			reason: "Under ReportOnly, the report says that nothing is written, and what would be written otherwise.", want: "Create",
			edit: func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly }, waits: "ReportOnly",
		},
		"SCIMOff": {
			reason: "While SCIM is off, no pool is written.", want: "Create", waits: "SCIM is off",
			given: func(t *testing.T, p *fakeportal.Portal) { p.SCIMOff(t) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := fakeportal.New(t, fakeportal.Options{})
			if tc.given != nil {
				tc.given(t, p)
			}
			if tc.edit == nil {
				tc.edit = func(*v1alpha1.IdentityConfigurationSpec) {}
			}
			p.Forget()
			r := reportWith(t, p, []client.Object{&v1alpha1.AgentPool{ObjectMeta: meta("leads"), Spec: v1alpha1.AgentPoolSpec{Roles: tc.roles}}}, tc.edit)
			got := ""
			for _, s := range r.Pools {
				if s.Name == "leads" {
					got = strings.TrimSpace(s.Action + " " + s.Reason)
				}
			}
			if got != tc.want || !strings.Contains(r.Waits, tc.waits) || (r.Waits == "") != (tc.waits == "") {
				t.Errorf("%s\n%q, waits for %q", tc.reason, got, r.Waits)
			}
			if w := p.Writes(); len(w) > 0 {
				t.Errorf("%s\na preview wrote %v", tc.reason, w)
			}
		})
	}
}

// owned makes the pool leads, without roles, in the portal.
func owned(t *testing.T, p *fakeportal.Portal) {
	t.Helper()
	if _, err := p.PutPool(t.Context(), portalapi.PoolWrite{Owner: portalapi.Owner{UID: "uid-leads", Name: "leads", Revision: 2}, Name: "leads"}); err != nil {
		t.Fatal(err)
	}
}
