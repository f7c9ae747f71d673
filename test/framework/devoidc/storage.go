// SPDX-License-Identifier: Apache-2.0

package devoidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestLifetime = 10 * time.Minute
	tokenLifetime   = time.Hour
	maxOpen         = 10_000 // maximum number of pending sign-ins, and of valid tokens
)

var (
	errUnknownRequest = errors.New("unknown or expired sign-in")
	errUnknownToken   = errors.New("no such access token")
	errUnsupported    = errors.New("not supported by the development provider")
)

// storage keeps the protocol's state in memory. It implements op.Storage and
// op.CanSetUserinfoFromRequest.
type storage struct {
	client *client
	key    signingKey
	shared string

	mu       sync.Mutex
	users    map[string]User // by lower-case user name
	subjects map[string]User
	requests map[string]*request
	codes    map[string]string // code → request id
	tokens   map[string]token
}

type token struct {
	subject string
	scopes  []string
	expires time.Time
}

func newStorage(c Config) (*storage, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("create the signing key: %w", err)
	}
	s := &storage{
		client:   &client{id: c.ClientID, secret: c.ClientSecret, redirectURIs: c.RedirectURIs},
		key:      signingKey{id: uuid.NewString(), key: key},
		shared:   c.SharedPassword,
		users:    map[string]User{},
		subjects: map[string]User{},
		requests: map[string]*request{},
		codes:    map[string]string{},
		tokens:   map[string]token{},
	}
	for _, u := range c.Users {
		u = u.withDefaults()
		s.users[strings.ToLower(u.UserName)] = u
		s.subjects[u.Subject] = u
	}
	return s, nil
}

// open returns a copy of a pending sign-in.
func (s *storage) open(id string) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.requests[id]
	if !ok || time.Now().After(r.expires) {
		return request{}, false
	}
	return *r, true
}

// authenticate completes a pending sign-in if user name and password are right.
func (s *storage) authenticate(id, userName, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.requests[id]
	if !ok || time.Now().After(r.expires) {
		return false
	}
	user, known := s.users[strings.ToLower(userName)]
	expected := user.Password
	if !known {
		user, expected = User{UserName: userName}.withDefaults(), s.shared
	}
	if userName == "" || expected == "" || subtle.ConstantTimeCompare([]byte(expected), []byte(password)) != 1 {
		return false
	}
	s.subjects[user.Subject] = user
	r.subject, r.authTime, r.done = user.Subject, time.Now(), true
	return true
}

func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	for _, prompt := range asked.Prompt {
		if prompt == oidc.PromptNone {
			return nil, oidc.ErrLoginRequired()
		}
	}
	r := newRequest(uuid.NewString(), asked, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetExpired(time.Now())
	if len(s.requests) >= maxOpen {
		return nil, oidc.ErrServerError().WithDescription("too many open sign-ins")
	}
	s.requests[r.id] = r
	return r, nil
}

// forgetExpired drops expired entries; the caller must have locked the mutex.
func (s *storage) forgetExpired(now time.Time) {
	for id, r := range s.requests {
		if now.After(r.expires) {
			delete(s.requests, id)
		}
	}
	for code, id := range s.codes {
		if _, ok := s.requests[id]; !ok {
			delete(s.codes, code)
		}
	}
	for id, t := range s.tokens {
		if now.After(t.expires) {
			delete(s.tokens, id)
		}
	}
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	r, ok := s.open(id)
	if !ok {
		return nil, errUnknownRequest
	}
	return &r, nil
}

func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id, ok := s.codes[code]
	s.mu.Unlock()
	if !ok {
		return nil, errUnknownRequest
	}
	return s.AuthRequestByID(ctx, id)
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	s.forgetExpired(time.Now())
	return nil
}

func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetExpired(time.Now())
	if len(s.tokens) >= maxOpen {
		return "", time.Time{}, errors.New("too many live tokens")
	}
	id, expires := uuid.NewString(), time.Now().Add(tokenLifetime)
	s.tokens[id] = token{subject: r.GetSubject(), scopes: r.GetScopes(), expires: expires}
	return id, expires, nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.client.id {
		return nil, fmt.Errorf("unknown client %q", id)
	}
	return s.client, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != s.client.id || subtle.ConstantTimeCompare([]byte(secret), []byte(s.client.secret)) != 1 {
		return errors.New("client id or secret is wrong")
	}
	return nil
}

// SetUserinfoFromRequest adds the user's claims to the id token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	return s.describe(info, r.GetSubject(), scopes)
}

// SetUserinfoFromToken sets the response of the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, subject, _ string) error {
	s.mu.Lock()
	t, ok := s.tokens[tokenID]
	s.mu.Unlock()
	if !ok || t.subject != subject || time.Now().After(t.expires) {
		return errUnknownToken
	}
	return s.describe(info, subject, t.scopes)
}

func (s *storage) describe(info *oidc.UserInfo, subject string, scopes []string) error {
	s.mu.Lock()
	user, ok := s.subjects[subject]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("no user with this subject")
	}
	for _, scope := range scopes {
		switch scope {
		case oidc.ScopeOpenID:
			info.Subject = user.Subject
		case oidc.ScopeProfile:
			info.PreferredUsername, info.Name = user.UserName, user.Name
			info.GivenName, info.FamilyName = user.GivenName, user.FamilyName
		case oidc.ScopeEmail:
			info.Email, info.EmailVerified = user.Email, oidc.Bool(user.Email != "")
		}
	}
	return nil
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return &s.key, nil }
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}
func (s *storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{&publicKey{s.key}}, nil }
func (s *storage) Health(context.Context) error             { return nil }

// signingKey is the private key; publicKey is what /keys shows.
type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k *signingKey) ID() string                                  { return k.id }
func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *signingKey) Key() any                                    { return k.key }

type publicKey struct{ private signingKey }

func (k *publicKey) ID() string                         { return k.private.id }
func (k *publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *publicKey) Use() string                        { return "sig" }
func (k *publicKey) Key() any                           { return &k.private.key.PublicKey }
