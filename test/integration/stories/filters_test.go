// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
)

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:"

var certificate = base64.StdEncoding.EncodeToString([]byte("a certificate"))

// attributeFilters is one filter for each attribute that the provider can push for a user.
var attributeFilters = map[string]string{
	"userName":          `userName sw "ADA@"`,
	"externalId":        `externalId eq "00u1"`,
	"active":            `active eq true and title pr`,
	"name":              `name.familyName eq "lovelace" and name.givenName pr and name.formatted co "Ada" and name.middleName eq "K" and name.honorificPrefix eq "Lady" and name.honorificSuffix eq "I"`,
	"displayName":       `displayName ew "Lovelace"`,
	"nickName":          `nickName eq "the countess"`,
	"profileUrl":        `profileUrl eq "https://example.test/ada"`,
	"title":             `title co "analyst"`,
	"userType":          `userType eq "Employee"`,
	"preferredLanguage": `preferredLanguage eq "en-GB"`,
	"locale":            `locale eq "en-GB"`,
	"timezone":          `timezone eq "Europe/London"`,
	"emails":            `emails[type eq "work" and value ew "@example.test"]`,
	"phoneNumbers":      `phoneNumbers.value eq "+44 20 7946 0000"`,
	"ims":               `ims[type eq "xmpp"]`,
	"photos":            `photos.value pr`,
	"addresses":         `addresses[country eq "GB" and locality eq "London" and region pr and postalCode pr and streetAddress pr and formatted pr]`,
	"entitlements":      `entitlements.value eq "analytical"`,
	"roles":             `roles[value eq "reader" and primary eq true]`,
	"x509Certificates":  `x509Certificates.value eq "` + certificate + `"`,
	"employeeNumber":    enterprise + `employeeNumber eq "1815"`,
	"costCenter":        enterprise + `costCenter eq "engines"`,
	"organization":      enterprise + `organization eq "Engines"`,
	"division":          enterprise + `division eq "Analytical"`,
	"department":        enterprise + `department eq "Mathematics"`,
	"manager":           enterprise + `manager.value eq "cb"`,
}

func lovelace(s *v1alpha1.ScimUserSpec) {
	yes := true
	one := func(typ, value string) []v1alpha1.MultiValue {
		return []v1alpha1.MultiValue{{Type: typ, Value: value, Primary: &yes}}
	}
	s.ExternalID, s.DisplayName, s.NickName, s.ProfileURL, s.Title = "00u1", "Ada Lovelace", "The Countess", "https://example.test/ada", "Analyst of engines"
	s.Name = &v1alpha1.Name{Formatted: "Lady Ada Lovelace", GivenName: "Ada", MiddleName: "K", FamilyName: "Lovelace", HonorificPrefix: "Lady", HonorificSuffix: "I"}
	s.UserType, s.PreferredLanguage, s.Locale, s.Timezone = "Employee", "en-GB", "en-GB", "Europe/London"
	s.Emails, s.PhoneNumbers, s.Ims = one("work", "ada@example.test"), one("work", "+44 20 7946 0000"), one("xmpp", "ada")
	s.Photos = []v1alpha1.LongMultiValue{{Type: "photo", Value: "https://example.test/ada.jpg"}}
	s.X509Certificates = []v1alpha1.LongMultiValue{{Value: certificate}}
	s.Addresses = []v1alpha1.Address{{Formatted: "12 St James's Square, London", StreetAddress: "12 St James's Square", Locality: "London", Region: "Greater London", PostalCode: "SW1", Country: "GB"}}
	s.Entitlements, s.Roles = one("", "analytical"), one("", "reader")
	s.EmployeeNumber, s.CostCenter, s.Organization, s.Division, s.Department = "1815", "engines", "Engines", "Analytical", "Mathematics"
	s.Manager = &v1alpha1.Manager{Value: "cb"}
}

func TestMemberFilterOnEveryAttribute(t *testing.T) {
	spec := reflect.TypeFor[v1alpha1.ScimUserSpec]()
	for i := range spec.NumField() {
		name, _, _ := strings.Cut(spec.Field(i).Tag.Get("json"), ",")
		if ours := slices.Contains([]string{"suspend", "pools", "deleted", "revision"}, name); !ours && attributeFilters[name] == "" {
			t.Errorf("no filter uses %s", name)
		}
	}
	w := newWorld(t)
	pools := []string{"default"}
	for name, filter := range attributeFilters {
		pool := "by-" + strings.ToLower(name)
		w.pool(pool, v1alpha1.AgentPoolSpec{MemberFilter: filter})
		pools = append(pools, pool)
	}
	slices.Sort(pools[1:])
	ada, bob := w.push("ada@example.test", lovelace), w.push("bob@example.test")
	w.provisioned(ada, user)
	w.isIn(ada, pools...)
	w.provisioned(bob, user)
	w.isIn(bob, "default")
	t.Log("each pool is listed with its origin; the user leaves the pool when the provider removes the attribute")
	for _, p := range ada.Status.Pools[1:] {
		if p.Source != v1alpha1.PoolSourceFilter {
			t.Errorf("%s comes from %s", p.Name, p.Source)
		}
	}
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.Department, s.Title = "", "" })
	w.isIn(ada, slices.DeleteFunc(pools, func(p string) bool { return p == "by-department" || p == "by-title" || p == "by-active" })...)
}

// isIn waits until the user is in exactly these pools, in the status and in the portal.
func (w *world) isIn(u *v1alpha1.ScimUser, pools ...string) {
	w.t.Helper()
	w.eventually(u.Spec.UserName+" is in "+fmt.Sprint(pools), func() error {
		w.must(w.client.Get(w.t.Context(), keyOf(u), u))
		var got []string
		for _, p := range u.Status.Pools {
			got = append(got, p.Name)
		}
		if n := len(w.account(u.Spec.UserName).PoolRefs); !slices.Equal(got, pools) || n != len(pools) {
			return fmt.Errorf("%d in the portal, the status has %v; %s", n, got, describe(u.Status.Conditions))
		}
		return nil
	})
}

func TestOriginOfEachPool(t *testing.T) {
	w := newWorld(t)
	w.pool("pushed", v1alpha1.AgentPoolSpec{DisplayName: "Payments", Roles: []v1alpha1.Role{quota}})
	w.pool("named", v1alpha1.AgentPoolSpec{Members: []v1alpha1.PoolMember{{UserName: "ADA@example.test"}}, Roles: []v1alpha1.Role{manager}})
	w.pool("matched", v1alpha1.AgentPoolSpec{MemberFilter: `userName sw "ada"`, Roles: []v1alpha1.Role{quota}})
	all := w.pool("all", v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{DisplayName: "all"}}, Members: []v1alpha1.PoolMember{{UserName: "ada@example.test"}}, MemberFilter: `userName pr`, Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("pushed", "all"))
	w.provisioned(ada, user, quota, manager)
	w.isIn(ada, v1alpha1.DefaultName, "all", "matched", "named", "pushed") // the roles are complete without some of them
	describe := func() string { return fmt.Sprint(ada.Status.Pools) }
	if want := "[{default Default false} {all Group false} {matched Filter false} {named Declared false} {pushed Group false}]"; describe() != want {
		t.Errorf("got %s, want %s", describe(), want)
	}
	if want := "[{ROLE_IGNORE_QUOTA [all matched pushed]} {ROLE_MANAGER [named]} {ROLE_USER [default]}]"; fmt.Sprint(ada.Status.Roles) != want {
		t.Errorf("the roles come from %v, want %s", ada.Status.Roles, want)
	}
	t.Log("a user stays in a pool as long as one source remains")
	w.change(ada, in("pushed"))
	w.originOf(ada, "all", v1alpha1.PoolSourceDeclared)
	w.changePool(all, func(s *v1alpha1.AgentPoolSpec) { s.Members = nil })
	w.originOf(ada, "all", v1alpha1.PoolSourceFilter)
	w.changePool(all, func(s *v1alpha1.AgentPoolSpec) { s.MemberFilter = "" })
	w.originOf(ada, "all", "")
	w.provisioned(ada, user, quota, manager)
}

// originOf waits until the status lists the pool with the origin; "" for not listed.
func (w *world) originOf(u *v1alpha1.ScimUser, pool string, want v1alpha1.PoolSource) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s is in %s by %q", u.Spec.UserName, pool, want), func() error {
		w.must(w.client.Get(w.t.Context(), keyOf(u), u))
		var got v1alpha1.PoolSource
		for _, p := range u.Status.Pools {
			if p.Name == pool {
				got = p.Source
			}
		}
		if got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}
