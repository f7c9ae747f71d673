// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
)

// words are the template functions that convert the service's values to text.
var words = template.FuncMap{
	"asset":            func(string) string { return "" }, // replaced where the assets are known
	"icon":             icon,
	"apiDocsPath":      func() string { return portalserver.APIDocsPath },
	"loginMethodsPath": func() string { return loginMethodsPath },
	"migrationPath":    func() string { return migrationPath },
	"settingsPath":     func() string { return settingsPath },
	"options":          options,
	"pairs":            func(chosen any, pairs []string) template.HTML { return options(chosen, pairs...) },
	"when":             when,
	"keyEnd":           keyEnd,
	"expiry":           func(t time.Time) template.HTML { return expiry(t, time.Now()) },
	"rotatable":        func(k store.APIKey) bool { return k.Works(time.Now()) && k.ReplacedBy == "" },
	"sentence":         sentence,
	"changeLine":       changeLine,
	"who":              who,
	"because":          because,
	"receipt":          receipt,
	"shown":            shown,
	"full":             sentenceOf,
	"userAudit":        func(e store.AuditEvent) string { return link("/audit", auditQuery{User: e.TargetID}.values()) },
	"join":             func(all []string) string { return strings.Join(all, ", ") },
	"displayName":      displayNameOf,
	"name":             name,
	"more":             func(pools []store.PoolRef) int { return max(0, len(pools)-poolsShown) },
	"held":             held,
	"spaced":           spaced,
	"add":              func(a, b int) int { return a + b },
	"less":             func(a, b int) int { return a - b },
	"code":             code,
	"counted":          counted,
	"effect":           effect,
	"outcome":          outcome,
	"losses":           losses,
	"gains":            gains,
}

// code formats the words between backticks as code.
func code(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // every part is escaped
}

// counted returns the number with the words for one or for several.
func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// outcome describes what the migration does about a local account.
func outcome(l portalapi.MigrationLine) string {
	switch {
	case l.Outcome != portalapi.MigrationAdopted:
		return "Stays local"
	case l.Becomes == portalapi.StatusDeactivated:
		return "Becomes SCIM-managed and deactivated"
	case l.Becomes == portalapi.StatusActive:
		return "Becomes SCIM-managed and active again"
	}
	return "Becomes SCIM-managed"
}

func losses(l portalapi.MigrationLine) []string {
	lost := slices.Concat(l.RolesLost, l.PoolsLost)
	if l.Becomes == portalapi.StatusDeactivated {
		lost = append([]string{"Sign-in"}, lost...)
	}
	return lost
}

func gains(l portalapi.MigrationLine) []string {
	gained := slices.Concat(l.RolesGained, l.PoolsGained)
	if l.Becomes == portalapi.StatusActive {
		gained = append([]string{"Sign-in"}, gained...)
	}
	return gained
}

// effects are the sentences about one and about several accounts, without the number; %s is the
// identity provider.
var effects = map[store.EffectKind][2]string{
	store.EffectNoSignIn:     {"SCIM-managed user can no longer sign in: without SSO there is no other way", "SCIM-managed users can no longer sign in: without SSO they have no other way"},
	store.EffectPasswordOnly: {"local user who linked an identity signs in with a password only", "local users who linked an identity sign in with a password only"},
	store.EffectSignedOut:    {"user who signed in through SSO is signed out", "users who signed in through SSO are signed out"},
	store.EffectBoundAgain: {"user has an identity at the former issuer, which does not sign in any more. A SCIM-managed user is bound again at the next sign-in; a local user must link the identity again",
		"users have an identity at the former issuer, which does not sign in any more. SCIM-managed users are bound again at the next sign-in; local users must link their identity again"},
	store.EffectNotFollowed: {"SCIM-managed user no longer follows %s: the user stays active here after leaving there, until a manager deactivates the account",
		"SCIM-managed users no longer follow %s: they stay active here after they leave there, until a manager deactivates them"},
	store.EffectNoGroups: {"agent pool no longer follows the groups of %s: its members stay as they are", "agent pools no longer follow the groups of %s: their members stay as they are"},
	store.EffectMigrated: {"local user becomes SCIM-managed and read-only: the password ends, the user is signed out, and roles follow from agent pools only",
		"local users become SCIM-managed and read-only: their passwords end, they are signed out, and their roles follow from agent pools only"},
	store.EffectLosesManager: {"of them loses the manager role", "of them lose the manager role"},
	store.EffectDeactivated:  {"of them can no longer sign in: %s has deactivated the user", "of them can no longer sign in: %s has deactivated them"},
	store.EffectLosesAccess:  {"of them loses a role or an agent pool", "of them lose a role or an agent pool"},
	store.EffectManagerLost:  {"of them has the manager role now, and keeps it only if an agent pool grants it", "of them have the manager role now, and keep it only if an agent pool grants it"},
}

// effect returns the sentence about what a change of the login methods takes away.
func effect(e store.Effect, provider string) string {
	text := effects[e.Kind][1]
	if e.Count == 1 {
		text = effects[e.Kind][0]
	}
	return strings.Replace(text, "%s", provider, 1) + "."
}

// displayNameOf accepts both forms that templates have: accounts by value in lists, by pointer
// elsewhere.
func displayNameOf(account any) (string, error) {
	switch a := account.(type) {
	case store.Account:
		return displayName(&a), nil
	case *store.Account:
		return displayName(a), nil
	}
	return "", fmt.Errorf("a %T has no display name", account)
}

// spaced writes a secret in groups of four, as users read it.
func spaced(secret string) string {
	var groups []string
	for part := range slices.Chunk([]byte(secret), 4) {
		groups = append(groups, string(part))
	}
	return strings.Join(groups, " ")
}

// held describes what a held removal would take away.
func held(what portalapi.Removal) string {
	switch what {
	case "":
		return ""
	case portalapi.RemovalDeactivation:
		return "deactivation"
	case portalapi.RemovalDeletion:
		return "deletion"
	case portalapi.RemovalManager:
		return "loss of the manager role"
	case portalapi.RemovalMembers:
		return "loss of members"
	}
	return string(what)
}

var icons = map[string]string{
	"users":    `<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c.6-3.6 3.2-5.5 6.5-5.5s5.9 1.9 6.5 5.5M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.9c2 .7 3.2 2.4 3.5 5.1"/>`,
	"user":     `<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c.8-4 3.7-6 7.5-6s6.7 2 7.5 6"/>`,
	"pool":     `<path d="m12 3 9 4.5-9 4.5-9-4.5zM3 12l9 4.5 9-4.5M3 16.5 12 21l9-4.5"/>`,
	"key":      `<circle cx="8" cy="15.5" r="4.5"/><path d="m11.3 12.2 8.7-8.7M16 7.5l3 3M13.5 10l2 2"/>`,
	"shield":   `<path d="M12 2.8 4.5 5.6v5.7c0 4.7 3.1 8.1 7.5 9.9 4.4-1.8 7.5-5.2 7.5-9.9V5.6z"/><path d="m8.8 11.8 2.3 2.3 4.2-4.4"/>`,
	"gear":     `<circle cx="12" cy="12" r="3.2"/><path d="M12 2.5v3M12 18.5v3M2.5 12h3M18.5 12h3M5.3 5.3l2.1 2.1M16.6 16.6l2.1 2.1M5.3 18.7l2.1-2.1M16.6 7.4l2.1-2.1"/>`,
	"list":     `<path d="M8.5 6H21M8.5 12H21M8.5 18H21M3.5 6h.01M3.5 12h.01M3.5 18h.01"/>`,
	"arrivals": `<path d="M12 3v11M7.5 9.8 12 14.3l4.5-4.5M4 16v3.5h16V16"/>`,
	"alert":    `<path d="M12 3.5 2.5 20h19zM12 10v4.5M12 17.2v.01"/>`,
	"check":    `<circle cx="12" cy="12" r="9"/><path d="m8 12.3 2.8 2.8 5.3-5.7"/>`,
	"lock":     `<rect x="5" y="10.5" width="14" height="10" rx="2"/><path d="M8 10.5V7.8a4 4 0 0 1 8 0v2.7"/>`,
	"search":   `<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5 5"/>`,
	"edit":     `<path d="M4 20h4L19.5 8.5l-4-4L4 16zM13 7l4 4"/>`,
	"trash":    `<path d="M4 6.5h16M9.5 6.5V4h5v2.5M6 6.5 7 20.5h10l1-14M10 10.5v6M14 10.5v6"/>`,
	"plus":     `<path d="M12 5v14M5 12h14"/>`,
	"clock":    `<circle cx="12" cy="12" r="9"/><path d="M12 7v5.2l3.3 2"/>`,
}

// icon returns the SVG of an icon. Icons only repeat the text beside them, so screen readers skip
// them.
func icon(name string) (template.HTML, error) {
	paths, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %s", name)
	}
	return template.HTML(`<svg viewBox="0 0 24 24" aria-hidden="true">` + paths + `</svg>`), nil
}

// options renders the options of a select from pairs of value and label.
func options(chosen any, pairs ...string) template.HTML {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		selected := ""
		if fmt.Sprint(chosen) == pairs[i] {
			selected = " selected"
		}
		fmt.Fprintf(&b, `<option value="%s"%s>%s</option>`, template.HTMLEscapeString(pairs[i]), selected, template.HTMLEscapeString(pairs[i+1]))
	}
	return template.HTML(b.String())
}

// when formats a time in UTC; the zero time is "never".
func when(t time.Time) template.HTML {
	if t.IsZero() || t.Unix() == 0 {
		return "Never"
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2 Jan 2006, 15:04") + ` UTC</time>`)
}

// keyEnd describes when a key stops working, or that it has.
func keyEnd(k store.APIKey) template.HTML {
	switch {
	case !k.EndedAt.IsZero():
		return `<span class="seal warn">Ended</span> ` + when(k.EndedAt) + `<span class="sub">The user who made it was deactivated.</span>`
	case k.ReplacedBy != "" && k.Works(time.Now()):
		return `<span class="seal">Replaced</span> works until ` + when(k.ExpiresAt)
	}
	return expiry(k.ExpiresAt, time.Now())
}

func expiry(t, now time.Time) template.HTML {
	if !t.IsZero() && t.Unix() != 0 && !now.Before(t) {
		return `<span class="seal warn">Expired</span> ` + when(t)
	}
	return when(t)
}

// deed is the sentence for an event, done and refused; %s is the target's name.
type deed struct{ done, tried string }

var deeds = map[string]deed{
	"user.create":                      {"Created the user %s", "Tried to create the user %s"},
	"user.update":                      {"Changed the user %s", "Tried to change the user %s"},
	"user.delete":                      {"Deleted the user %s", "Tried to delete the user %s"},
	"user.erase":                       {"Erased the user %s", "Tried to erase the user %s"},
	"user.provision":                   {"Provisioned the user %s", "Tried to provision the user %s"},
	"user.adopt":                       {"Adopted the user %s, who was local", "Tried to adopt the local user %s"},
	"user.release":                     {"Released the user %s", "Tried to release the user %s"},
	"user.wait":                        {"The user %s waits for migration", "Tried to make the user %s wait for migration"},
	"user.hold":                        {"The removal of the user %s is held", "Tried to hold the removal of the user %s"},
	"pool.members":                     {"Changed the members of the agent pool %s", "Tried to change the members of the agent pool %s"},
	"pool.create":                      {"Created the agent pool %s", "Tried to create the agent pool %s"},
	"pool.update":                      {"Changed the agent pool %s", "Tried to change the agent pool %s"},
	"pool.delete":                      {"Deleted the agent pool %s", "Tried to delete the agent pool %s"},
	"pool.provision":                   {"Provisioned the agent pool %s", "Tried to provision the agent pool %s"},
	"pool.adopt":                       {"Adopted the agent pool %s", "Tried to adopt the agent pool %s"},
	"pool.hold":                        {"A change of the agent pool %s is held", "Tried to hold a change of the agent pool %s"},
	"pool.release":                     {"Released the agent pool %s", "Tried to release the agent pool %s"},
	"pool-key.rotate":                  {"Made a new key of the agent pool %s", "Tried to make a new key of the agent pool %s"},
	"pool-key.revert":                  {"Made the former key of the agent pool %s active again", "Tried to make the former key of the agent pool %s active again"},
	"pool-key.revoke":                  {"Revoked a key of the agent pool %s", "Tried to revoke a key of the agent pool %s"},
	"api-key.create":                   {"Created the API key %s", "Tried to create the API key %s"},
	"api-key.rotate":                   {"Rotated the API key %s", "Tried to rotate the API key %s"},
	"api-key.delete":                   {"Deleted the API key %s", "Tried to delete the API key %s"},
	"api-key.ensure":                   {"Took over the API key %s from the deployment", "Tried to take over the API key %s from the deployment"},
	"identity-configuration.update":    {"Saved the login methods", "Tried to save the login methods"},
	"identity-configuration.provision": {"Set the login methods from Kubernetes", "Tried to set the login methods from Kubernetes"},
	"binding.bind":                     {"Connected an operator to this portal", "Tried to connect an operator to this portal"},
	"binding.replace":                  {"Replaced the operator of this portal", "Tried to replace the operator of this portal"},
	"binding.unbind":                   {"Disconnected the operator from this portal", "Tried to disconnect the operator from this portal"},
	"migration.plan":                   {"Published the migration plan", "Tried to publish the migration plan"},
	"audit.export":                     {"Exported the audit", "Tried to export the audit"},
	"session.start":                    {"Signed in as %s", "Tried to sign in as %s"},
	"page.open":                        {"Opened the page %s", "Tried to open the page %s"},
	"identity.link":                    {"Linked an identity at the provider to %s", "Tried to link an identity at the provider to %s"},
	"identity.forget":                  {"Forgot the identity at the provider of %s", "Tried to forget the identity at the provider of %s"},
	"password.change":                  {"Changed the password of %s", "Tried to change the password of %s"},
	"password.reset-link":              {"Made a reset link for the password of %s", "Tried to make a reset link for the password of %s"},
	"password.reset":                   {"Set a new password of %s with a reset link", "Tried to set a new password of %s with a reset link"},
	"second-factor.add":                {"Set up a second factor of %s", "Tried to set up a second factor of %s"},
	"second-factor.codes":              {"Made new recovery codes of %s", "Tried to make new recovery codes of %s"},
	"second-factor.remove":             {"Removed the second factor of %s", "Tried to remove the second factor of %s"},
	"session.end-all":                  {"Signed %s out in every browser", "Tried to sign %s out in every browser"},
}

// sentence returns the sentence for an event.
func sentence(e store.AuditEvent) template.HTML {
	text := deedOf(e)
	target := e.TargetName
	if target == "" {
		target = e.TargetID
	}
	return template.HTML(strings.TrimSpace(strings.Replace(template.HTMLEscapeString(text), "%s", string(name(target)), 1)))
}

// deedOf returns the sentence for an event, with %s for the target's name.
func deedOf(e store.AuditEvent) string {
	d, ok := deeds[e.Action]
	becomes := func(field, to string) bool {
		return slices.ContainsFunc(e.Changes, func(c store.FieldChange) bool { return c.Field == field && c.To == to })
	}
	switch {
	case !ok && e.Refused():
		return "Tried to call " + e.Action + " of the API"
	case !ok:
		return "Called " + e.Action + " of the API"
	case e.Refused() && e.Action == "session.start" && e.TargetName+e.TargetID == "":
		return "Tried to sign in"
	case e.Refused():
		return d.tried
	case e.Action == "user.hold" && becomes("held", ""):
		return "The removal of the user %s is no longer held"
	case e.Action == "pool.hold" && becomes("held", ""):
		return "The change of the agent pool %s is no longer held"
	case strings.HasSuffix(e.Action, ".hold") && becomes("heldState", string(portalapi.MarkDropped)):
		return "A held removal of %s was dropped"
	case e.Action == "user.wait" && becomes("waitingFor", ""):
		return "The user %s no longer waits for migration"
	}
	return d.done
}

// fields are the display names of changed fields.
var fields = map[string]string{
	"userName": "User name", "displayName": "Display name", "givenName": "First name", "familyName": "Last name", "email": "E-mail",
	"externalId": "Id at the provider", "status": "Status", "deactivatedBy": "Deactivated by", "managedBy": "Managed by", "owner": "Owner",
	"ownerName": "Follows", "waitingFor": "Waits for", "waitingForName": "Waits for SCIM id", "handedOver": "Handed over", "ungranted": "Not granted by its owner", "membersAdded": "Added", "membersRemoved": "Removed from it", "held": "Held removal", "heldState": "Decision", "heldAt": "Object for the decision", "decision": "Decision id", "decidedBy": "Decided by",
	"sessionsEnded": "Sessions ended", "keysEnded": "API keys ended", "keysToRotate": "API keys to rotate",
	"identity": "Identity at the provider", "directRoles": "Direct roles", "pools": "Agent pools", "password": "Password", "name": "Name", "description": "Description",
	"poolKey": "Key that ends in", "formerKeyEnds": "The former key works until", "roles": "Roles", "scope": "Scope", "expiresAt": "Expires", "replacedBy": "Replaced by", "provider": "Identity provider", "filter": "Filter", "oldKeyEnds": "The old key works until", "method": "By", "sso.enabled": "SSO", "sso.type": "Protocol",
	"sso.issuer": "Issuer URL", "sso.clientId": "Client ID", "sso.clientSecret": "Client secret", "sso.metadataUrl": "Metadata URL",
	"sso.metadata": "Metadata", "sso.idAttribute": "Attribute with the id", "sso.userNameAttribute": "Attribute with the user name",
	"scim.enabled": "SCIM", "scim.provisionExistingUsers": "Provision existing users", "scim.provisionGroups": "Provision groups",
	"scim.migrationPlan": "Approved migration plan", "managedElsewhere": "Managed elsewhere by", "binding.id": "Binding", "binding.uid": "Configuration UID", "binding.cluster": "Cluster", "binding.namespace": "Namespace",
	"binding.name": "Configuration", "binding.providerType": "Provider type", "binding.providerName": "Provider", "binding.scimBaseUrl": "SCIM base URL",
}

// shown omits the fields that only link records to each other; the audit has them.
func shown(changes []store.FieldChange) []store.FieldChange {
	return slices.DeleteFunc(slices.Clone(changes), func(c store.FieldChange) bool {
		return slices.Contains([]string{"owner", "ownerName", "ownerBinding", "waitingFor", "waitingForName", "deactivatedBy", "scim.migrationPlan"}, c.Field)
	})
}

// receipt returns what ended when a user left, and what to do about it.
func receipt(changes []store.FieldChange) []store.FieldChange {
	return slices.DeleteFunc(slices.Clone(changes), func(c store.FieldChange) bool {
		return !slices.Contains([]string{"sessionsEnded", "keysEnded", "keysToRotate"}, c.Field)
	})
}

// changeLine describes one field's change.
func changeLine(c store.FieldChange) template.HTML {
	field := fields[c.Field]
	if field == "" {
		field = c.Field
	}
	from, to := name(plain(c.From)), name(plain(c.To))
	line := template.HTML(template.HTMLEscapeString(field) + ": ")
	switch {
	case c.From == "":
		return line + to
	case c.To == "":
		return line + from + " removed"
	}
	return line + from + " → " + to
}

func plain(value string) string {
	switch value {
	case "true":
		return "on"
	case "false":
		return "off"
	}
	return value
}

// because says why the operator acted; the actor itself is the cause of all other events.
func because(e store.AuditEvent) string {
	if e.ActorKind != store.Operator {
		return ""
	}
	switch e.Cause {
	case store.CauseProvider:
		return "because of the identity provider"
	case store.CauseGit:
		return "because of an object in Kubernetes"
	case store.CausePerson:
		return "because a person decided it"
	}
	return ""
}

// who names the actor.
func who(e store.AuditEvent) template.HTML {
	actor := name(e.ActorName)
	switch e.ActorKind {
	case store.Key:
		return "API key " + actor
	case store.Operator:
		return "Operator (" + actor + ")"
	case store.Visitor:
		return "a visitor who is not signed in"
	case store.System:
		return "The portal itself (" + actor + ")"
	}
	return actor
}
