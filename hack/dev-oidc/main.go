// SPDX-License-Identifier: Apache-2.0

// Command dev-oidc is a development OpenID Connect provider on loopback. It replaces the company's
// single sign-on, so that "SSO first, then SCIM" can be tried on one machine. See
// test/framework/devoidc.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/test/framework/devoidc"
)

type options struct {
	listen             string
	issuer             string
	clientID           string
	clientSecret       string
	clientSecretFile   string
	redirectURIs       []string
	usersFile          string
	users              []string
	sharedPasswordFile string
	logLevel           string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev-oidc:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "dev-oidc",
		Short:         "A development OpenID Connect provider on loopback",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8099", "loopback address to serve on; port 0 takes a free one")
	f.StringVar(&o.issuer, "issuer", "", "issuer URL; http://<listen> when empty")
	f.StringVar(&o.clientID, "client-id", "portal", "client id of the application")
	f.StringVar(&o.clientSecret, "client-secret", "", "client secret of the application; better is --client-secret-file")
	f.StringVar(&o.clientSecretFile, "client-secret-file", "", "file that holds the client secret")
	f.StringArrayVar(&o.redirectURIs, "redirect-uri", []string{"http://127.0.0.1:8090/sso/callback"}, "redirect URI of the application; repeatable")
	f.StringVar(&o.usersFile, "users-file", "", "JSON array of {userName, password, email, name, givenName, familyName, sub}")
	f.StringArrayVar(&o.users, "user", nil, "one more user as userName:password[:email]; repeatable")
	f.StringVar(&o.sharedPasswordFile, "shared-password-file", "", "file with a password under which all other user names may sign in")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func run(ctx context.Context, o options) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: use debug, info, warn or error", o.logLevel)
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))

	listener, err := listen(ctx, o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	config, err := o.config(listener.Addr().String())
	if err != nil {
		return err
	}
	provider, err := devoidc.New(config)
	if err != nil {
		return err
	}
	slog.Info("Serving", "issuer", config.Issuer, "clientID", config.ClientID, "users", len(config.Users))
	return serve(ctx, listener, provider)
}

// listen refuses anything but loopback: this provider must not be reachable from elsewhere.
func listen(ctx context.Context, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--listen %q: write host:port, such as 127.0.0.1:8099", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--listen %q: the development provider serves on loopback only, such as 127.0.0.1:8099", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--listen %s is taken by another program; choose another port", address)
	}
	return listener, err
}

func (o options) config(address string) (devoidc.Config, error) {
	c := devoidc.Config{Issuer: strings.TrimSuffix(o.issuer, "/"), ClientID: o.clientID, ClientSecret: o.clientSecret, RedirectURIs: o.redirectURIs}
	if c.Issuer == "" {
		c.Issuer = "http://" + address
	}
	if err := readSecret(o.clientSecretFile, &c.ClientSecret); err != nil {
		return c, err
	}
	if err := readSecret(o.sharedPasswordFile, &c.SharedPassword); err != nil {
		return c, err
	}
	if o.usersFile != "" {
		file, err := os.Open(o.usersFile)
		if err != nil {
			return c, err
		}
		defer file.Close()
		if c.Users, err = devoidc.ReadUsers(file); err != nil {
			return c, fmt.Errorf("%s: %w", o.usersFile, err)
		}
	}
	for _, text := range o.users {
		user, err := devoidc.ParseUser(text)
		if err != nil {
			return c, fmt.Errorf("--user: %w", err)
		}
		c.Users = append(c.Users, user)
	}
	return c, nil
}

// readSecret reads the file without surrounding white space. It returns "" if file is empty.
func readSecret(file string, into *string) error {
	if file == "" {
		return nil
	}
	content, err := os.ReadFile(file)
	*into = strings.TrimSpace(string(content))
	return err
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(stopping)
}
