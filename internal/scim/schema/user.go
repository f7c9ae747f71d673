// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"sync"

	"lightrun.com/scim-operator/internal/scim"
)

// User returns the User of RFC 7643 §4.1 with the enterprise extension of §4.3. The result is
// shared; do not change it.
func User() *ResourceType { return user() }

var user = sync.OnceValue(func() *ResourceType {
	return &ResourceType{
		Name:        "User",
		Endpoint:    "/Users",
		Description: "A person",
		Schema:      newSchema(scim.SchemaUser, "User", "A person", userAttributes()...),
		Extensions: []Extension{{
			Schema: newSchema(scim.SchemaEnterpriseUser, "EnterpriseUser", "Enterprise attributes of a user", enterpriseAttributes()...),
		}},
		common: indexOf(commonAttributes()),
	}
})

func userAttributes() []*Attribute {
	return append(userSingles(),
		contact("emails", "E-mail addresses.", String, maxText, "work", "home", "other"),
		contact("phoneNumbers", "Telephone numbers.", String, maxText, "work", "home", "mobile", "fax", "pager", "other"),
		contact("ims", "Instant messaging addresses.", String, maxText, "aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"),
		contact("photos", "URLs of photos.", Reference, maxURL, "photo", "thumbnail"),
		attribute("addresses", Complex, "Postal addresses.", list(maxList), subs(
			attribute("formatted", String, "The whole address, for display or mail."),
			attribute("streetAddress", String, "Street, house number, further lines."),
			attribute("locality", String, "City."),
			attribute("region", String, "State or region."),
			attribute("postalCode", String, "Postal code."),
			attribute("country", String, "Country, preferably an ISO 3166-1 alpha-2 code."),
			typeOf("work", "home", "other"),
			primary(),
		)),
		attribute("groups", Complex, "The user's groups; changed through the groups.", list(0), readOnly, subs(
			attribute("value", String, "The group's id.", caseExact, readOnly, length(maxID)),
			attribute("$ref", Reference, "The group's URL.", readOnly, refers("Group")),
			attribute("display", String, "The group's name.", readOnly),
			attribute("type", String, "direct, or indirect if the membership does not come from the provider.", readOnly, canonical("direct", "indirect")),
		)),
		grants("entitlements", "Things that the user is entitled to."),
		grants("roles", "The roles of the user at the identity provider."),
		attribute("x509Certificates", Complex, "Certificates.", list(maxCerts), subs(
			attribute("value", Binary, "DER in base64.", length(maxCert)),
			display(), typeOf(), primary(),
		)),
	)
}

func userSingles() []*Attribute {
	return []*Attribute{
		attribute("userName", String, "The name with which the user signs in; unique and case-insensitive.", required, unique, length(maxName), checked(checkName)),
		attribute("name", Complex, "The components of the person's name.", subs(
			attribute("formatted", String, "The whole name, for display."),
			attribute("familyName", String, "Family name."),
			attribute("givenName", String, "Given name."),
			attribute("middleName", String, "Middle names."),
			attribute("honorificPrefix", String, "Title before the name."),
			attribute("honorificSuffix", String, "Suffix after the name."),
		)),
		attribute("displayName", String, "The name to show.", length(maxName)),
		attribute("nickName", String, "The casual name of the user."),
		attribute("profileUrl", Reference, "URL of the person's profile.", refers("external"), checked(checkURI)),
		attribute("title", String, "Job title."),
		attribute("userType", String, "Relation to the organization, such as Employee."),
		attribute("preferredLanguage", String, "Preferred languages, in the form of the Accept-Language header.", checked(checkLanguage)),
		attribute("locale", String, "Locale, such as en-US.", checked(checkLanguage)),
		attribute("timezone", String, "Time zone, such as Europe/Paris.", checked(checkTimezone)),
		attribute("active", Boolean, "Whether the user may sign in; true if omitted.", defaults(true)),
		attribute("password", String, "Accepted and ignored: users sign in through single sign-on.", hidden, writeOnly, caseExact, returned(Never)),
	}
}

func enterpriseAttributes() []*Attribute {
	return []*Attribute{
		attribute("employeeNumber", String, "The employee number in the organization."),
		attribute("costCenter", String, "Cost centre."),
		attribute("organization", String, "Organisation."),
		attribute("division", String, "Division."),
		attribute("department", String, "Department."),
		attribute("manager", Complex, "The person's manager.", subs(
			attribute("value", String, "The manager's id.", caseExact, length(maxID)),
			attribute("$ref", Reference, "The manager's URL: read if there is no value, never returned.", readOnly, refers("User")),
			attribute("displayName", String, "The manager's name: not stored; see the manager's resource.", readOnly),
		)),
	}
}

func writeOnly(a *Attribute) { a.Mutability = WriteOnly }

// contact returns a multi-valued attribute with the sub-attributes of RFC 7643 §2.4.
func contact(name, description string, t Type, max int, types ...string) *Attribute {
	value := attribute("value", t, "The value.", length(max))
	if t == Reference {
		value.ReferenceTypes = []string{"external"}
		value.check = checkURI
	}
	return attribute(name, Complex, description, list(maxList), subs(value, display(), typeOf(types...), primary()))
}

func grants(name, description string) *Attribute {
	return attribute(name, Complex, description, list(maxGrants), subs(
		attribute("value", String, "The value."), attribute("display", String, "A name for it, for display."), typeOf(), primary(),
	))
}

func display() *Attribute { return attribute("display", String, "A name for it, for display.", hidden) }
func primary() *Attribute {
	return attribute("primary", Boolean, "Whether this is the preferred value; at most one is.")
}
func typeOf(values ...string) *Attribute {
	return attribute("type", String, "What it is for.", canonical(values...))
}
