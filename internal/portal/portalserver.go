// SPDX-License-Identifier: Apache-2.0

// Package portal runs the Management Portal in one process: the service with its database
// (store), the REST server (api), the pages (web), and the records that a deployment creates on the
// first start.
package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/portal/api"
	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/internal/portal/store"
)

const (
	// keepTombstones is the number of deleted records that the change feed keeps.
	keepTombstones = 100_000
	// tidyEvery is the interval at which older tombstones are deleted.
	tidyEvery = time.Hour
	// graceful is the maximum time for running requests after the process is asked to stop.
	graceful = 8 * time.Second
)

// bootstrapper is the actor of changes that flags ask for.
var bootstrapper = store.SystemActor("bootstrap")

// Options are the options of the process, as set by its flags.
type Options struct {
	Listen        string // host:port
	MetricsListen string // host:port of /metrics, over http; empty serves none
	TLSCertDir    string // folder with tls.crt and tls.key; empty serves http
	PublicURL     string // URL by which browsers reach the portal; empty means the address of Listen
	Database      string // see store.Options
	AdminUser     string // user name of the first local manager, who is created if there is none; empty creates none
	AdminPassword string // the file with the password of AdminUser
	Keys          []BootstrapKey
	SessionIdle   time.Duration // how long a session lasts without a request; 0 is store.DefaultSessionIdle
	SecretKeyFile string        // keys under which the database has its secrets; empty: in clear
	AuditKeyFile  string        // keys of the audit's chain; empty: the audit has none
	MaxKeyDays    int           // maximum lifetime of a new API key, in days; 0 is store.DefaultMaxKeyLifetime
	NewFeedEpoch  bool          // set it after a restore from a backup
	HTTPCookies   bool          // cookies without the Secure attribute, for plain http on loopback

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	RequireSecondFactor bool   // managers with a password need a second factor
	RemoveSecondFactor  string // user name of a local user whose second factor is removed at the start

	Log logr.Logger
	// Web creates the pages. If it is nil, there are no pages.
	Web func(WebOptions) (http.Handler, error)
}

// WebOptions configure the pages.
type WebOptions struct {
	Store       *store.Store
	PublicURL   string // without a slash at its end
	HTTPCookies bool

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	Log logr.Logger
}

// BootstrapKey is an API key that must exist: its scope, the identity provider if the scope is
// scim, and the file with its secret.
type BootstrapKey struct {
	Scope    store.Scope
	Provider provider.ID
	File     string
}

// ParseBootstrapKey parses scope=file or, for the scope scim, scope:provider=file.
func ParseBootstrapKey(text string) (BootstrapKey, error) {
	left, file, found := strings.Cut(text, "=")
	scope, idp, named := strings.Cut(left, ":")
	if !found || scope == "" || file == "" || named != (scope == string(store.ScopeSCIM)) {
		return BootstrapKey{}, fmt.Errorf("%q is not scope=file, such as provisioning=/etc/portal/operator-key, or scim:provider=file, such as scim:Okta=/etc/portal/scim-key", text)
	}
	key := BootstrapKey{Scope: store.Scope(scope), File: file}
	if !key.Scope.Known() {
		return key, fmt.Errorf("unknown scope %q; use manage, read, provisioning or scim", scope)
	}
	if !named {
		return key, nil
	}
	var err error
	key.Provider, err = provider.Parse(idp)
	return key, err
}

// ParseSessionIdle parses how long a session lasts without a request.
func ParseSessionIdle(text string) (time.Duration, error) {
	idle, err := time.ParseDuration(text)
	if err != nil || idle < time.Minute || idle > 12*time.Hour {
		return 0, fmt.Errorf("%q is not a duration from 1m to 12h, such as 30m", text)
	}
	return idle, nil
}

// ParseKeyDays parses the maximum lifetime of a new API key, in days.
func ParseKeyDays(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 3650 {
		return 0, fmt.Errorf("%q is not a number of days from 1 to 3650, such as 90", text)
	}
	return n, nil
}

// ReadDatabaseURL reads the URL of a PostgreSQL database from a file.
func ReadDatabaseURL(path string) (string, error) {
	text, err := secretFile(path)
	if err != nil {
		return "", fmt.Errorf("read the URL of the database: %w", err)
	}
	if !store.IsServer(text) {
		return "", fmt.Errorf("%s must contain the URL of a PostgreSQL database, such as postgres://portal:password@db.example.com/portal?sslmode=verify-full", path)
	}
	return text, nil
}

// ParseTrustedProxy parses an address, or a range of addresses, of proxies in front of the portal.
func ParseTrustedProxy(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no range of addresses, such as 10.0.0.0/8 or fd00::/8", text)
	}
	if prefix.Bits() == 0 {
		return netip.Prefix{}, fmt.Errorf("%q trusts every address, so every visitor could choose an address; name the range of your proxies", text)
	}
	return prefix.Masked(), nil
}

// APIDocsPath is the page that describes the API.
const APIDocsPath = "/api/docs"

// Handler serves the API and the pages under one address. If web is nil, there are no pages.
func Handler(api, web http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/api/", "/healthz", "/readyz"} {
		mux.Handle(path, api)
	}
	if web != nil {
		mux.Handle("/", web)
		mux.Handle(APIDocsPath, web)
	}
	return mux
}

// CheckSSO reads the provider's discovery document and keys, or its SAML metadata, and returns an
// error if users could not sign in with these settings.
func CheckSSO(ctx context.Context, settings portalapi.SSO) error {
	if settings.Type == "SAML" {
		_, err := sso.CheckSAML(ctx, nil, sso.SAMLSettings{MetadataURL: settings.MetadataURL, Metadata: settings.Metadata})
		return err
	}
	_, err := sso.Check(ctx, nil, settings.Issuer)
	return err
}

// Run serves the portal until ctx ends, and then stops within 10 seconds.
func Run(ctx context.Context, o Options) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close() // every change was committed before its response was sent
	if o.AuditKeyFile == "" {
		o.Log.Info("The audit has no chain: a person who can write the database can change it unnoticed. Make a key with openssl rand -base64 32 and name its file with --audit-key-file")
	}
	if o.SecretKeyFile == "" {
		o.Log.Info("The database has the secrets of second factors and the client secret in clear. Make a key with openssl rand -base64 32 and name its file with --secret-key-file")
	}
	if err := s.CheckAuditHead(ctx); err != nil {
		o.Log.Error(err, "The audit is not as the portal left it. Check all of it with --verify-audit")
	}
	if err := o.bootstrap(ctx, s); err != nil {
		return err
	}
	return o.serve(ctx, s)
}

// open opens the database with the keys of the options.
func (o Options) open(ctx context.Context) (*store.Store, error) {
	so, err := o.store()
	if err == nil {
		err = o.create()
	}
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, so)
}

// store returns the options of the store. It reads the key files.
func (o Options) store() (so store.Options, err error) {
	so = store.Options{Database: o.Database, CheckSSO: CheckSSO, SessionIdle: o.SessionIdle, RequireSecondFactor: o.RequireSecondFactor, MaxKeyLifetime: time.Duration(o.MaxKeyDays) * 24 * time.Hour}
	if so.AuditKeys, err = keyring(o.AuditKeyFile); err != nil {
		return so, err
	}
	so.SecretKeys, err = keyring(o.SecretKeyFile)
	return so, err
}

// onFile reports whether the database is a file.
func (o Options) onFile() bool {
	return o.Database != "" && o.Database != store.Memory && !store.IsServer(o.Database)
}

// create creates the file of the database, unless it exists.
func (o Options) create() error {
	if !o.onFile() {
		return nil
	}
	if err := createPrivate(o.Database); err != nil {
		return fmt.Errorf("create the portal's database: %w", err)
	}
	return nil
}

// exists returns an error if the database is a file that does not exist.
func (o Options) exists() error {
	if !o.onFile() {
		return nil
	}
	if _, err := os.Stat(o.Database); err != nil {
		return fmt.Errorf("open the portal's database: %w", err)
	}
	return nil
}

// createPrivate creates the file, unless it exists, readable for its owner only. SQLite gives the
// files beside it the same mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// keyring reads a key file. It returns nil for an empty path.
func keyring(path string) (*store.Keyring, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no key file is no error
	}
	text, err := secretFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	keys, err := store.ParseKeyring(text)
	if err != nil {
		return nil, fmt.Errorf("read the key file %s: %w", path, err)
	}
	return keys, nil
}

// VerifyAudit checks the whole audit and writes the result to out. published is the head from
// status.auditHead of the IdentityConfiguration, as sequence/mac; empty if there is none. It
// returns an error if the audit is not as the portal wrote it.
func (o Options) VerifyAudit(ctx context.Context, published string, out io.Writer) error {
	head, err := parseHead(published)
	if err != nil {
		return err
	}
	if o.AuditKeyFile == "" {
		return errors.New("name the key file with --audit-key-file")
	}
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	report, err := s.CheckAudit(ctx, head)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d events, the newest is %d/%s\n", report.Events, report.Head.Sequence, report.Head.MAC)
	if report.Unchained > 0 {
		fmt.Fprintf(out, "%d events are older than the chain and cannot be checked\n", report.Unchained)
	}
	if report.Erased > 0 {
		fmt.Fprintf(out, "the names of erased users are gone from %d places\n", report.Erased)
	}
	for _, p := range report.Problems {
		fmt.Fprintln(out, "problem:", p)
	}
	if len(report.Problems) > 0 {
		return errors.New("the audit is not as the portal wrote it")
	}
	if published == "" {
		fmt.Fprintln(out, "every event is as the portal wrote it; only --audit-head of the IdentityConfiguration's status can show whether the newest events are missing")
	} else {
		fmt.Fprintln(out, "every event is as the portal wrote it, up to the published one at least")
	}
	return nil
}

// parseHead parses sequence/mac; an empty text is no head.
func parseHead(text string) (portalapi.AuditHead, error) {
	if text == "" {
		return portalapi.AuditHead{}, nil
	}
	sequence, mac, found := strings.Cut(text, "/")
	n, err := strconv.ParseInt(sequence, 10, 64)
	if err != nil || !found || n < 1 {
		return portalapi.AuditHead{}, fmt.Errorf("%q is not the sequence and the MAC of an event, such as 1234/1f2e3d4c:5b6a", text)
	}
	return portalapi.AuditHead{Sequence: n, MAC: mac}, nil
}

func (o Options) handler(s *store.Store, registry *prometheus.Registry, at net.Addr) (http.Handler, error) {
	rest, err := api.New(api.Options{Store: s, Log: o.Log.WithName("api"), Registry: registry})
	if err != nil || o.Web == nil {
		return Handler(rest, nil), err
	}
	public := strings.TrimSuffix(o.PublicURL, "/")
	if public == "" {
		public = o.scheme() + "://" + at.String()
	}
	web, err := o.Web(WebOptions{Store: s, PublicURL: public, HTTPCookies: o.HTTPCookies, TrustedProxies: o.TrustedProxies, Log: o.Log.WithName("web")})
	if err != nil {
		return nil, fmt.Errorf("create the pages: %w", err)
	}
	return Handler(rest, web), nil
}

// tidy limits the number of tombstones in the change feed.
func (o Options) tidy(ctx context.Context, s *store.Store) error {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.TruncateFeed(ctx, keepTombstones); err != nil && ctx.Err() == nil {
				o.Log.Error(err, "Cannot delete old tombstones of the change feed")
			}
		}
	}
}

// bootstrap makes the deployment's records as its flags say: a new feed epoch after a restore, the
// first manager, the API keys. What the records already are, and what a flag cannot make of them,
// does not stop the portal: it is logged with what to do, and people can sign in.
func (o Options) bootstrap(ctx context.Context, s *store.Store) error {
	if o.NewFeedEpoch {
		if err := s.NewFeedEpoch(ctx); err != nil {
			return fmt.Errorf("start a new epoch of the change feed: %w", err)
		}
	}
	if err := o.ensureManager(ctx, s); err != nil {
		o.Log.Error(err, "No local manager can sign in with a password, and the flags --bootstrap-admin-user and --bootstrap-admin-password-file do not change that. Correct them and start the portal again")
	}
	if o.RemoveSecondFactor != "" {
		if err := s.RemoveSecondFactorByName(ctx, bootstrapper, o.RemoveSecondFactor); err != nil {
			o.Log.Error(err, "The flag --remove-second-factor has no effect. Remove it, or correct the user name and start the portal again")
		}
	}
	for _, key := range o.Keys {
		if err := key.ensure(ctx, s); err != nil {
			o.Log.Error(err, "A flag --bootstrap-key has no effect. Correct it or its file and start the portal again", "scope", key.Scope)
		}
	}
	return nil
}

// ensureManager reads the password only to make a manager: a deployment may delete its file later.
func (o Options) ensureManager(ctx context.Context, s *store.Store) error {
	if o.AdminUser == "" {
		return nil
	}
	password, unreadable := secretFile(o.AdminPassword)
	if err := s.EnsureManager(ctx, bootstrapper, o.AdminUser, password); err != nil {
		return errors.Join(unreadable, err)
	}
	return nil
}

func (k BootstrapKey) ensure(ctx context.Context, s *store.Store) error {
	secret, err := secretFile(k.File)
	if err != nil {
		return err
	}
	return s.EnsureKey(ctx, bootstrapper, store.NewKey{Name: "bootstrap-" + string(k.Scope), Scope: k.Scope, Provider: k.Provider}, secret)
}

// secretFile returns the file's text without the white space around it.
func secretFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("no file is named")
	}
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}
