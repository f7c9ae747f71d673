package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProviderType is the kind of identity provider.
// +kubebuilder:validation:Enum=Okta;EntraID;Other
type ProviderType string

const (
	ProviderOkta    ProviderType = "Okta"
	ProviderEntraID ProviderType = "EntraID"
	ProviderOther   ProviderType = "Other"
)

// ManagementPolicy says whether the operator writes to the portal.
// +kubebuilder:validation:Enum=Enforce;ReportOnly
type ManagementPolicy string

const (
	PolicyEnforce    ManagementPolicy = "Enforce"    // bring the portal in line
	PolicyReportOnly ManagementPolicy = "ReportOnly" // write nothing to the portal; say in conditions what differs
)

// UserDeletion says what becomes of an account when its ScimUser is deleted.
// +kubebuilder:validation:Enum=Deactivate;Delete;Orphan
type UserDeletion string

const (
	UserDeactivate UserDeletion = "Deactivate" // the record stays, sign-in is refused; a return gets it back
	UserDelete     UserDeletion = "Delete"     // the record goes
	UserOrphan     UserDeletion = "Orphan"     // the record stays active, as a local account
)

// SSOType is the protocol of single sign-on.
// +kubebuilder:validation:Enum=OIDC;SAML
type SSOType string

const (
	SSOTypeOIDC SSOType = "OIDC"
	SSOTypeSAML SSOType = "SAML"
)

// LocalReference names an object in the same namespace.
type LocalReference struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Portal says where the Management Portal is and how to speak to it.
type Portal struct {
	// url of the portal, without a path: https://portal.example.com
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#]+/?$`
	URL string `json:"url"`
	// credentialsSecretRef names a Secret whose key "token" is a portal API key with the scope provisioning.
	CredentialsSecretRef LocalReference `json:"credentialsSecretRef"`
	// caBundle is PEM of the authorities that sign the portal's certificate. Absent: the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
}

// SecondClient says what becomes of requests of a second kind of client on a token.
// +kubebuilder:validation:Enum=Report;Refuse
type SecondClient string

const (
	SecondClientReport SecondClient = "Report" // serve them; say so in the webhook's log and metrics
	SecondClientRefuse SecondClient = "Refuse" // the same, and answer 403
)

// IdentityProvider is the one identity provider that pushes people here. Another type, or another name where there was one, is
// another provider: it takes the first one's place only by the annotation iam.lightrun.com/replace-identity-provider, and until
// then the first keeps working.
type IdentityProvider struct {
	Type ProviderType `json:"type"`
	// name tells two providers of one type apart, such as two Okta organisations, and is shown in the portal. SCIM tokens that are
	// made for another name are refused. Absent: there is one of the type.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Name string `json:"name,omitempty"`
	// onSecondClient says what the webhook does with a request that looks like one of another kind of client than its token is
	// for, such as Entra ID with a token of Okta's. Absent means Report.
	// +kubebuilder:default=Report
	// +optional
	OnSecondClient SecondClient `json:"onSecondClient,omitempty"`
}

// BoundProvider is the identity provider that the portal is integrated with.
type BoundProvider struct {
	Type ProviderType `json:"type"`
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Name string `json:"name,omitempty"`
}

// JWTIssuer is an issuer whose JSON Web Tokens (RFC 7519) are accepted as bearer tokens of the SCIM service.
type JWTIssuer struct {
	// issuer is the tokens' iss, letter by letter. Its keys are found by OpenID Connect Discovery, over HTTPS except on this machine.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(https://[^/?#]+|http://(127\.0\.0\.1|localhost)(:[0-9]+)?)(/[^?#]*)?$`
	Issuer string `json:"issuer"`
	// provider is the identity provider that the tokens are of. While another is configured, they are refused.
	Provider ProviderType `json:"provider"`
	// providerName is that provider's name. Absent: the tokens are for every provider of the type.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	ProviderName string `json:"providerName,omitempty"`
	// audiences: a token's aud must hold one of them.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Audiences []string `json:"audiences"`
	// requiredClaims are claims that must have just this value, such as appid or sub: an issuer may have many clients.
	// +kubebuilder:validation:MaxProperties=8
	// +optional
	RequiredClaims map[string]string `json:"requiredClaims,omitempty"`
	// caBundle is PEM of the authorities that sign the issuer's certificate. Absent: the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
}

// LoginMethods declares the portal's page of that name. Present: Git rules, and the portal shows the page as managed elsewhere.
//
// +kubebuilder:validation:XValidation:rule="!has(self.scim) || !self.scim.enabled || (has(self.sso) && self.sso.enabled)",message="SCIM needs single sign-on: enable loginMethods.sso first"
type LoginMethods struct {
	// +optional
	SSO *SSO `json:"sso,omitempty"`
	// +optional
	SCIM *SCIM `json:"scim,omitempty"`
}

// SSO configures single sign-on.
//
// +kubebuilder:validation:XValidation:rule="!self.enabled || self.type != 'OIDC' || (has(self.issuer) && has(self.clientID))",message="OIDC needs issuer and clientID"
// +kubebuilder:validation:XValidation:rule="!self.enabled || self.type != 'SAML' || has(self.metadataURL)",message="SAML needs metadataURL"
type SSO struct {
	Enabled bool `json:"enabled"`
	// +kubebuilder:default=OIDC
	Type SSOType `json:"type"`
	// issuer of the OIDC provider.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://.+`
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ClientID string `json:"clientID,omitempty"`
	// metadataURL of the SAML identity provider.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://.+`
	// +optional
	MetadataURL string `json:"metadataURL,omitempty"`
	// secretRef names a Secret whose key "clientSecret" is the OIDC client's secret.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// SCIM configures provisioning.
//
// +kubebuilder:validation:XValidation:rule="self.enabled || !has(self.provisionExistingUsers) || !self.provisionExistingUsers",message="provisionExistingUsers needs SCIM: set enabled too"
type SCIM struct {
	Enabled bool `json:"enabled"`
	// provisionExistingUsers adopts local accounts that the provider has pushed.
	// +optional
	ProvisionExistingUsers bool `json:"provisionExistingUsers,omitempty"`
	// provisionGroups turns pushed groups into pools. Absent means true.
	// +optional
	ProvisionGroups *bool `json:"provisionGroups,omitempty"`
}

// DeprovisioningGuard is a budget of removals.
type DeprovisioningGuard struct {
	// maxPercent of the managed, active accounts that may be removed within the window.
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxPercent *int32 `json:"maxPercent,omitempty"`
	// minUsers that may always be removed within the window, whatever the percentage.
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinUsers *int32 `json:"minUsers,omitempty"`
	// window over which removals are counted.
	// +kubebuilder:default="1h"
	// +optional
	Window *metav1.Duration `json:"window,omitempty"`
}

// IdentityConfigurationSpec binds one namespace to one portal and one identity provider.
type IdentityConfigurationSpec struct {
	Portal Portal `json:"portal"`
	// scimBaseURL is the URL that the identity provider pushes to, ending in /scim/v2. Absent: taken from each request.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^?#]+[^/?#]$`
	// +optional
	SCIMBaseURL      string           `json:"scimBaseURL,omitempty"`
	IdentityProvider IdentityProvider `json:"identityProvider"`
	// jwtIssuers are accepted besides static tokens, such as Entra ID's own when no secret token is given to it.
	// +listType=map
	// +listMapKey=issuer
	// +kubebuilder:validation:MaxItems=4
	// +optional
	JWTIssuers []JWTIssuer `json:"jwtIssuers,omitempty"`
	// loginMethods. Absent: the portal's Save button rules and status mirrors it. Present: this rules.
	// +optional
	LoginMethods *LoginMethods `json:"loginMethods,omitempty"`
	// +kubebuilder:default=Enforce
	// +optional
	ManagementPolicy ManagementPolicy `json:"managementPolicy,omitempty"`
	// onDelete says what becomes of an account when its ScimUser is deleted.
	// +kubebuilder:default=Deactivate
	// +optional
	OnDelete UserDeletion `json:"onDelete,omitempty"`
	// +optional
	DeprovisioningGuard DeprovisioningGuard `json:"deprovisioningGuard,omitempty,omitzero"`
}

// EffectiveLoginMethods is what is in force in the portal.
type EffectiveLoginMethods struct {
	SSO  bool `json:"sso"`
	SCIM bool `json:"scim"`
	// +optional
	ProvisionExistingUsers bool `json:"provisionExistingUsers,omitempty"`
	// +optional
	ProvisionGroups bool `json:"provisionGroups,omitempty"`
}

// IdentityConfigurationStatus is what is in force.
type IdentityConfigurationStatus struct {
	// provider that the portal is integrated with, whatever spec says. The webhook accepts its tokens alone. Absent: not known yet,
	// and the webhook answers 503.
	// +optional
	Provider *BoundProvider `json:"provider,omitempty"`
	// loginMethods in force in the portal. Absent: not known yet, and the webhook answers 503.
	// +optional
	LoginMethods *EffectiveLoginMethods `json:"loginMethods,omitempty"`
	// users is how many ScimUsers there are; ready how many of them are Ready.
	// +optional
	Users int64 `json:"users"`
	// +optional
	ReadyUsers int64 `json:"readyUsers"`
	// waitingUsers have a local account and wait for the migration.
	// +optional
	WaitingUsers int64 `json:"waitingUsers"`
	// heldUsers are held by the deprovisioning guard.
	// +optional
	HeldUsers int64 `json:"heldUsers"`
	// localAccounts stay local: the provider has not pushed them.
	// +optional
	LocalAccounts int64 `json:"localAccounts"`
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// IdentityConfiguration binds a namespace to one portal and one identity provider. Its only name is default.
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

	// +required
	Spec IdentityConfigurationSpec `json:"spec"`
	// +optional
	Status IdentityConfigurationStatus `json:"status,omitempty,omitzero"`
}

// ProviderName is the provider's name as people know it.
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
