// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProviderType is the kind of identity provider.
// +kubebuilder:validation:Enum=Okta;EntraID;Other
type ProviderType string

const (
	ProviderOkta    ProviderType = "Okta"    // Okta
	ProviderEntraID ProviderType = "EntraID" // Microsoft Entra ID, which was Azure AD
	ProviderOther   ProviderType = "Other"   // any other SCIM 2.0 client
)

// ManagementPolicy is whether the operator writes to the portal.
// +kubebuilder:validation:Enum=Enforce;ReportOnly
type ManagementPolicy string

const (
	PolicyEnforce    ManagementPolicy = "Enforce"    // change the portal to the desired state
	PolicyReportOnly ManagementPolicy = "ReportOnly" // write nothing to the portal; report differences in conditions
)

// UserDeletion is what happens to an account when the identity provider deletes its user.
// +kubebuilder:validation:Enum=Deactivate;Delete;Orphan
type UserDeletion string

const (
	UserDeactivate UserDeletion = "Deactivate" // the account stays, without sign-in; if the user is created again, they get it back
	UserDelete     UserDeletion = "Delete"     // the account is deleted
	UserOrphan     UserDeletion = "Orphan"     // the account stays active, as a local account
)

// SSOType is the protocol of single sign-on.
// +kubebuilder:validation:Enum=OIDC;SAML
type SSOType string

const (
	SSOTypeOIDC SSOType = "OIDC" // OpenID Connect
	SSOTypeSAML SSOType = "SAML" // SAML 2.0
)

// LocalReference names an object in the same namespace.
type LocalReference struct {
	// name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// PortalDriver is how the operator talks to the portal.
// +kubebuilder:validation:Enum=Contract;SCIM
type PortalDriver string

const (
	PortalDriverContract PortalDriver = "Contract" // by the REST contract of this project's Management Portal
	PortalDriverSCIM     PortalDriver = "SCIM"     // as a SCIM client of any SCIM 2.0 service provider
)

// Portal contains the address of the Management Portal and how to connect to it.
//
// +kubebuilder:validation:XValidation:rule="(has(self.driver) && self.driver == 'SCIM') || self.url.matches('^https?://[^/?#]+/?$')",message="url has no path, unless driver is SCIM"
// +kubebuilder:validation:XValidation:rule="!has(self.scim) || (has(self.driver) && self.driver == 'SCIM')",message="scim needs driver SCIM"
type Portal struct {
	// driver is how the operator talks to the portal. Contract is the REST contract of this
	// project's Management Portal. SCIM is any SCIM 2.0 service provider, to which the operator
	// writes accounts as Users and pools as Groups. Absent means Contract.
	// +kubebuilder:default=Contract
	// +optional
	Driver PortalDriver `json:"driver,omitempty"`
	// url of the portal, without a path, such as https://portal.example.com. With driver SCIM it is
	// the SCIM base URL, such as https://app.example.com/scim/v2.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#]+(/[^?#]*)?$`
	URL string `json:"url"`
	// credentialsSecretRef names a Secret. Its key "token" contains a portal API key with the scope
	// provisioning. With driver SCIM it is the bearer token of the target; if scim.oauth is set,
	// the key "clientSecret" contains the client's secret instead.
	CredentialsSecretRef LocalReference `json:"credentialsSecretRef"`
	// caBundle contains the certificates, in PEM, of the authorities that may sign the portal's
	// certificate. If it is absent, the system's authorities apply.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
	// scim configures the driver SCIM.
	// +optional
	SCIM *SCIMTarget `json:"scim,omitempty"`
}

// SecretKey returns the key of the Secret that contains the credentials.
func (p *Portal) SecretKey() string {
	if p.SCIM != nil && p.SCIM.OAuth != nil {
		return "clientSecret"
	}
	return "token"
}

// SCIMTarget is what the driver SCIM writes to its target, and how.
type SCIMTarget struct {
	// roles set to false leaves the attribute roles of users to the target. Absent means true: a
	// user's roles are the union of the roles of the user's pools.
	// +optional
	Roles *bool `json:"roles,omitempty"`
	// groups set to false writes no groups: pools then exist only in the cluster, and give only
	// roles. Absent means true.
	// +optional
	Groups *bool `json:"groups,omitempty"`
	// concurrency is the maximum number of requests at the same time.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	// +kubebuilder:default=8
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`
	// oauth gets access tokens with the client credentials grant of OAuth 2.0. If it is absent, the
	// token in the Secret is sent.
	// +optional
	OAuth *OAuthClient `json:"oauth,omitempty"`
}

// OAuthClient is a client of the client credentials grant (RFC 6749 section 4.4).
type OAuthClient struct {
	// tokenURL is the token endpoint.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://.+`
	TokenURL string `json:"tokenURL"`
	// clientID is the id of the client. Its secret is in the Secret of credentialsSecretRef, under
	// the key "clientSecret".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID"`
	// scopes to ask for.
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +optional
	Scopes []string `json:"scopes,omitempty"`
	// audience of the access token, for issuers that need it.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Audience string `json:"audience,omitempty"`
}

// SecondClient is what the webhook does with a request whose token is for another kind of client,
// such as a request of Entra ID with a token for Okta.
// +kubebuilder:validation:Enum=Report;Refuse
type SecondClient string

const (
	SecondClientReport SecondClient = "Report" // serve them, and report them in the webhook's log and metrics
	SecondClientRefuse SecondClient = "Refuse" // report them, and respond with 403
)

// IdentityProvider is the one identity provider that sends users and groups over SCIM. If you
// change type, or a name that was set, you name another provider. It replaces the bound provider
// only if you also set the annotation iam.lightrun.com/replace-identity-provider. Until then the
// bound provider keeps working.
type IdentityProvider struct {
	// type of the identity provider.
	Type ProviderType `json:"type"`
	// name distinguishes two providers of one type, such as two Okta organisations. The portal
	// shows it. The webhook refuses SCIM tokens that were made for another name. Omit it if there
	// is only one provider of the type.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Name string `json:"name,omitempty"`
	// onSecondClient is what the webhook does with a request whose token is for another kind of
	// client, such as a request of Entra ID with a token for Okta. Absent means Report.
	// +kubebuilder:default=Report
	// +optional
	OnSecondClient SecondClient `json:"onSecondClient,omitempty"`
}

// BoundProvider is the identity provider that the portal is integrated with.
type BoundProvider struct {
	// type of the identity provider.
	Type ProviderType `json:"type"`
	// name of the identity provider. It is absent if the provider has no name.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Name string `json:"name,omitempty"`
}

// JWTIssuer is an issuer whose JSON Web Tokens (RFC 7519) the webhook accepts as bearer tokens.
type JWTIssuer struct {
	// issuer must equal the iss claim of the tokens, character by character. The webhook finds the
	// issuer's keys by OpenID Connect Discovery. HTTP without TLS is accepted only for localhost.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https://[^/?#]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)(/[^?#]*)?$`
	Issuer string `json:"issuer"`
	// provider is the type of the identity provider that sends these tokens. While another provider
	// is integrated, the tokens are refused.
	Provider ProviderType `json:"provider"`
	// providerName is the name of that provider. If it is absent, the tokens are valid for every
	// provider of the type.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	ProviderName string `json:"providerName,omitempty"`
	// audiences are the accepted audiences. The aud claim of a token must contain one of them.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Audiences []string `json:"audiences"`
	// requiredClaims are claims that must have exactly this value, such as appid or sub. Use them
	// when an issuer has many clients.
	// +kubebuilder:validation:MaxProperties=8
	// +optional
	RequiredClaims map[string]string `json:"requiredClaims,omitempty"`
	// caBundle contains the certificates, in PEM, of the authorities that may sign the issuer's
	// certificate. If it is absent, the system's authorities apply.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
}

// LoginMethods declares the portal's login methods. While they are declared, the portal's page is
// read-only and says that they are managed elsewhere.
//
// +kubebuilder:validation:XValidation:rule="!has(self.scim) || !self.scim.enabled || (has(self.sso) && self.sso.enabled)",message="SCIM needs single sign-on: enable loginMethods.sso first"
type LoginMethods struct {
	// sso configures single sign-on. Absent means off.
	// +optional
	SSO *SSO `json:"sso,omitempty"`
	// scim configures provisioning over SCIM. Absent means off.
	// +optional
	SCIM *SCIM `json:"scim,omitempty"`
}

// SSO configures single sign-on.
//
// +kubebuilder:validation:XValidation:rule="!self.enabled || self.type != 'OIDC' || (has(self.issuer) && has(self.clientID))",message="OIDC needs issuer and clientID"
// +kubebuilder:validation:XValidation:rule="!self.enabled || self.type != 'SAML' || has(self.metadataURL) != has(self.metadata)",message="SAML needs metadataURL or metadata, and not both"
type SSO struct {
	// enabled turns single sign-on on.
	Enabled bool `json:"enabled"`
	// type is the protocol of single sign-on.
	// +kubebuilder:default=OIDC
	Type SSOType `json:"type"`
	// issuer of the OIDC provider. Required for OIDC.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://.+`
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// clientID is the portal's client id at the OIDC provider. Required for OIDC.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ClientID string `json:"clientID,omitempty"`
	// metadataURL is the URL of the SAML identity provider's metadata. SAML needs it or metadata.
	// The portal reads it again, so the provider can change its certificate.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://.+`
	// +optional
	MetadataURL string `json:"metadataURL,omitempty"`
	// metadata is the SAML identity provider's metadata as XML, for a provider without a URL.
	// +kubebuilder:validation:MaxLength=131072
	// +optional
	Metadata string `json:"metadata,omitempty"`
	// idAttribute names the SAML attribute with the user's immutable id at the provider. Absent
	// means the NameID, and for Entra ID the object id.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	IDAttribute string `json:"idAttribute,omitempty"`
	// userNameAttribute names the SAML attribute with the user name, which finds the account at the
	// first sign-in. Absent means the NameID.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	UserNameAttribute string `json:"userNameAttribute,omitempty"`
	// secretRef names a Secret. Its key "clientSecret" contains the OIDC client's secret.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// SCIM configures provisioning.
//
// +kubebuilder:validation:XValidation:rule="self.enabled || !has(self.provisionExistingUsers) || !self.provisionExistingUsers",message="provisionExistingUsers needs SCIM: set enabled too"
type SCIM struct {
	// enabled turns provisioning over SCIM on. It needs single sign-on.
	Enabled bool `json:"enabled"`
	// provisionExistingUsers set to true adopts each local account with the user name of a
	// ScimUser: SCIM then manages the account.
	// +optional
	ProvisionExistingUsers bool `json:"provisionExistingUsers,omitempty"`
	// provisionGroups set to false makes the webhook refuse changes of groups. Absent means true.
	// +optional
	ProvisionGroups *bool `json:"provisionGroups,omitempty"`
}

// DeprovisioningGuard is a budget of removals: max(maxPercent, minUsers) within the window.
type DeprovisioningGuard struct {
	// maxPercent is the percentage of the active accounts that SCIM manages that may be removed
	// within the window. For each pool, it is the percentage of its members that may leave it.
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxPercent *int32 `json:"maxPercent,omitempty"`
	// minUsers is the number of accounts that may be removed within the window, also if it is more
	// than maxPercent allows. For each pool, it is the number of members that may leave it.
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinUsers *int32 `json:"minUsers,omitempty"`
	// window is the length of time in which removals are counted, up to now.
	// +kubebuilder:default="1h"
	// +optional
	Window *metav1.Duration `json:"window,omitempty"`
}

// IdentityConfigurationSpec binds one namespace to one portal and one identity provider.
//
// +kubebuilder:validation:XValidation:rule="!has(self.portal.driver) || self.portal.driver != 'SCIM' || has(self.loginMethods)",message="driver SCIM needs loginMethods: a SCIM target does not say whether single sign-on and provisioning are on"
type IdentityConfigurationSpec struct {
	// portal contains the address of the Management Portal and how to connect to it.
	Portal Portal `json:"portal"`
	// scimBaseURL is the URL to which the identity provider sends its SCIM requests. It ends in
	// /scim/v2. If it is absent, the webhook takes it from each request.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^?#]+[^/?#]$`
	// +optional
	SCIMBaseURL string `json:"scimBaseURL,omitempty"`
	// identityProvider is the one identity provider that sends users and groups over SCIM.
	IdentityProvider IdentityProvider `json:"identityProvider"`
	// jwtIssuers lists issuers whose JSON Web Tokens are accepted in addition to static tokens.
	// Entra ID sends such tokens if you configure no secret token there.
	// +listType=map
	// +listMapKey=issuer
	// +kubebuilder:validation:MaxItems=4
	// +optional
	JWTIssuers []JWTIssuer `json:"jwtIssuers,omitempty"`
	// loginMethods declares the portal's login methods. If you omit it, administrators edit them in
	// the portal and status shows them. If you set it, this field is authoritative and the page is
	// read-only.
	// +optional
	LoginMethods *LoginMethods `json:"loginMethods,omitempty"`
	// managementPolicy is whether the operator writes to the portal. With ReportOnly it writes
	// nothing and reports differences in conditions.
	// +kubebuilder:default=Enforce
	// +optional
	ManagementPolicy ManagementPolicy `json:"managementPolicy,omitempty"`
	// onDelete is what happens to an account when the identity provider deletes its user.
	// +kubebuilder:default=Deactivate
	// +optional
	OnDelete UserDeletion `json:"onDelete,omitempty"`
	// deprovisioningGuard limits how many removals the operator carries out without a person's
	// decision.
	// +optional
	DeprovisioningGuard DeprovisioningGuard `json:"deprovisioningGuard,omitempty,omitzero"`
}

// EffectiveLoginMethods contains the login methods that the portal has now.
type EffectiveLoginMethods struct {
	// sso is true if single sign-on is on.
	SSO bool `json:"sso"`
	// scim is true if provisioning over SCIM is on.
	SCIM bool `json:"scim"`
	// provisionExistingUsers is true if local accounts with the user name of a ScimUser are
	// adopted.
	// +optional
	ProvisionExistingUsers bool `json:"provisionExistingUsers,omitempty"`
	// provisionGroups is true if the webhook accepts changes of groups.
	// +optional
	ProvisionGroups bool `json:"provisionGroups,omitempty"`
}

// IdentityConfigurationStatus is the state of the portal that the manager has observed.
type IdentityConfigurationStatus struct {
	// provider is the identity provider that the portal is integrated with, which can differ from
	// spec. The webhook accepts only tokens for this provider. If it is absent, the manager does
	// not know it yet, and the webhook responds with 503.
	// +optional
	Provider *BoundProvider `json:"provider,omitempty"`
	// loginMethods contains the login methods that the portal has now. If it is absent, the manager
	// does not know them yet, and the webhook responds with 503.
	// +optional
	LoginMethods *EffectiveLoginMethods `json:"loginMethods,omitempty"`
	// auditHead identifies the newest event of the portal's audit that the manager has read, which
	// it does hourly. It proves later that no event up to this one was changed or removed. If it
	// is absent, the portal's audit has no chain.
	// +optional
	AuditHead *AuditHead `json:"auditHead,omitempty"`
	// ownerGone counts the accounts and pools in the portal that this operator manages although
	// their ScimUsers or AgentPools no longer exist. They keep what they have until a person
	// releases them or the objects are restored. It is absent if there are none.
	// +optional
	OwnerGone *OwnerGone `json:"ownerGone,omitempty"`
	// users is the number of ScimUsers.
	// +optional
	Users int64 `json:"users"`
	// readyUsers is the number of ScimUsers that are Ready.
	// +optional
	ReadyUsers int64 `json:"readyUsers"`
	// waitingUsers is the number of users who have a local account and wait for the migration.
	// +optional
	WaitingUsers int64 `json:"waitingUsers"`
	// heldUsers is the number of users whose removal the deprovisioning guard holds.
	// +optional
	HeldUsers int64 `json:"heldUsers"`
	// localAccounts is the number of accounts that stay local because no ScimUser has their user
	// name.
	// +optional
	LocalAccounts int64 `json:"localAccounts"`
	// conditions of the configuration. docs/reference/conditions.md lists types and reasons.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// OwnerGone counts records of the portal whose object no longer exists.
type OwnerGone struct {
	// accounts is the number of accounts without their ScimUser.
	// +kubebuilder:validation:Minimum=0
	// +required
	Accounts int64 `json:"accounts"`
	// managers is the number of these accounts that are active and have ROLE_MANAGER.
	// +kubebuilder:validation:Minimum=0
	// +required
	Managers int64 `json:"managers"`
	// pools is the number of pools without their AgentPool, except those whose release a person
	// dropped.
	// +kubebuilder:validation:Minimum=0
	// +required
	Pools int64 `json:"pools"`
}

// AuditHead identifies an event of the portal's audit, and all events before it.
type AuditHead struct {
	// sequence is the number of the event.
	// +kubebuilder:validation:Minimum=1
	// +required
	Sequence int64 `json:"sequence"`
	// mac is the MAC over the event and the MAC of the event before. The key is known to the portal
	// only.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	MAC string `json:"mac"`
}

// IdentityConfiguration binds a namespace to one portal and one identity provider. Its name is
// default.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=identityconfigurations,shortName=idconf,categories=scim
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.status.provider.type`
// +kubebuilder:printcolumn:name="SSO",type=boolean,JSONPath=`.status.loginMethods.sso`
// +kubebuilder:printcolumn:name="SCIM",type=boolean,JSONPath=`.status.loginMethods.scim`
// +kubebuilder:printcolumn:name="Users",type=integer,JSONPath=`.status.users`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="there is one IdentityConfiguration in a namespace, and its name is default"
type IdentityConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired configuration.
	// +required
	Spec IdentityConfigurationSpec `json:"spec"`
	// status is the state that the manager has observed and written.
	// +optional
	Status IdentityConfigurationStatus `json:"status,omitempty,omitzero"`
}

// ProviderName returns the name of the provider to display: its name, or else its type.
func (c *IdentityConfiguration) ProviderName() string {
	if c.Spec.IdentityProvider.Name != "" {
		return c.Spec.IdentityProvider.Name
	}
	return string(c.Spec.IdentityProvider.Type)
}

// IdentityConfigurationList is a list of configurations.
// +kubebuilder:object:root=true
type IdentityConfigurationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IdentityConfiguration `json:"items"`
}
