// SPDX-License-Identifier: Apache-2.0

package web

import "net/http"

// The way to the login methods, as the product's documentation describes it: Settings, Identity and
// Access Management, Identity Configuration, Login methods.
const (
	settingsPath      = "/settings"
	iamPath           = settingsPath + "/identity-and-access-management"
	configurationPath = iamPath + "/identity-configuration"
	loginMethodsPath  = configurationPath + "/login-methods"
	migrationPath     = loginMethodsPath + "/migration"
)

// settingsPage is the content of a page under Settings: the pages below it.
type settingsPage struct {
	Heading, Text string
	Name, Path    string // of the page that the list also is; empty if it is this page
	Places        []place
}

type place struct{ Name, Path, Text string }

// accessPlaces lists the pages under Identity and Access Management.
var accessPlaces = []place{
	{"User Management", "/users", "Who can sign in, and the roles that they have"},
	{"Agent Pools", "/pools", "The pools of agents, and the roles that their members inherit"},
	{"API Keys", "/api-keys", "Keys for programs, and the token for your identity provider"},
	{"Identity Configuration", configurationPath, "The login methods: SSO and SCIM"},
	{"Provisioning", "/provisioning", "What arrives from the identity provider, and what waits, is held or is refused"},
	{"Audit", "/audit", "Who changed what, and what was refused"},
}

func (s *site) settingsOverview(v *visit) error {
	return s.show(v, http.StatusOK, "settings", view{Title: "Settings", Section: "settings", Body: settingsPage{
		Heading: "Settings", Text: "What managers decide for the whole company.",
		Name: "Identity and Access Management", Path: iamPath, Places: accessPlaces,
	}})
}

func (s *site) accessManagement(v *visit) error {
	return s.show(v, http.StatusOK, "settings", view{Title: "Identity and Access Management", Section: "settings",
		Crumbs: way("Identity and Access Management", toSettings), Body: settingsPage{
			Heading: "Identity and Access Management", Text: "Who may use the product, and how they sign in.", Places: accessPlaces,
		}})
}

// identityConfiguration leads to the only page that it has.
func (s *site) identityConfiguration(v *visit) error { return v.redirect(loginMethodsPath) }
