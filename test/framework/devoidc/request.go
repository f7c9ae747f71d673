// SPDX-License-Identifier: Apache-2.0

package devoidc

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// request is one pending sign-in; it implements op.AuthRequest. The storage's mutex guards the
// fields that change.
type request struct {
	id          string
	clientID    string
	redirectURI string
	state       string
	nonce       string
	scopes      []string
	loginHint   string
	respType    oidc.ResponseType
	respMode    oidc.ResponseMode
	challenge   *oidc.CodeChallenge
	expires     time.Time

	subject  string
	authTime time.Time
	done     bool
}

func (r *request) GetID() string                         { return r.id }
func (r *request) GetACR() string                        { return "" }
func (r *request) GetAMR() []string                      { return []string{"pwd"} }
func (r *request) GetAudience() []string                 { return []string{r.clientID} }
func (r *request) GetAuthTime() time.Time                { return r.authTime }
func (r *request) GetClientID() string                   { return r.clientID }
func (r *request) GetCodeChallenge() *oidc.CodeChallenge { return r.challenge }
func (r *request) GetNonce() string                      { return r.nonce }
func (r *request) GetRedirectURI() string                { return r.redirectURI }
func (r *request) GetResponseType() oidc.ResponseType    { return r.respType }
func (r *request) GetResponseMode() oidc.ResponseMode    { return r.respMode }
func (r *request) GetScopes() []string                   { return r.scopes }
func (r *request) GetState() string                      { return r.state }
func (r *request) GetSubject() string                    { return r.subject }
func (r *request) Done() bool                            { return r.done }

func newRequest(id string, asked *oidc.AuthRequest, now time.Time) *request {
	r := &request{
		id:          id,
		clientID:    asked.ClientID,
		redirectURI: asked.RedirectURI,
		state:       asked.State,
		nonce:       asked.Nonce,
		scopes:      asked.Scopes,
		loginHint:   asked.LoginHint,
		respType:    asked.ResponseType,
		respMode:    asked.ResponseMode,
		expires:     now.Add(requestLifetime),
	}
	if asked.CodeChallenge != "" {
		r.challenge = &oidc.CodeChallenge{Challenge: asked.CodeChallenge, Method: asked.CodeChallengeMethod}
	}
	return r
}
