// SPDX-License-Identifier: Apache-2.0

// Command portal serves the Management Portal: its pages, its REST API and its database. Its other
// commands are for the database alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"lightrun.com/scim-operator/internal/kernel/version"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], portal.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	status := exitStatus(err)
	if status != 0 {
		fmt.Fprintln(os.Stderr, "portal:", err)
	}
	os.Exit(status)
}

func run(ctx context.Context, args []string, std portal.Streams) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return execute(ctx, args[0], args[1:], std)
	}
	var o portal.Options
	level := zapcore.InfoLevel
	flags := flag.NewFlagSet("portal", flag.ContinueOnError)
	flags.SetOutput(std.Err)
	flags.Usage = func() { usage(flags, std.Err) }
	databaseFlags(flags, &o)
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8090", "address to serve at")
	flags.StringVar(&o.TLSCertDir, "tls-cert-dir", "", "folder with tls.crt and tls.key, read again when they change; plain http without it")
	flags.StringVar(&o.MetricsListen, "metrics-listen", "", "address of /metrics, over http; without it there are none")
	flags.StringVar(&o.PublicURL, "public-url", "", "URL by which browsers reach the portal (default: the address of --listen)")
	flags.StringVar(&o.AdminUser, "bootstrap-admin-user", "", "user name of a local manager to create or repair if no local manager has a password")
	flags.StringVar(&o.AdminPassword, "bootstrap-admin-password-file", "", "file with that manager's password, 12 characters or more")
	flags.Func("bootstrap-key", "scope=file, or scim:provider=file such as scim:Okta=file: make sure that an API key with the secret in the file exists with that scope; repeatable", func(text string) error {
		key, err := portal.ParseBootstrapKey(text)
		o.Keys = append(o.Keys, key)
		return err
	})
	flags.Func("session-idle-timeout", "sign users out after this time without a request, from 1m to 12h (default 1h); a sign-in lasts 12h at most", func(text string) (err error) {
		o.SessionIdle, err = portal.ParseSessionIdle(text)
		return err
	})
	verify := flags.Bool("verify-audit", false, "check every event of the audit, print the result and exit")
	var head string
	headFlag(flags, &head)
	flags.Func("max-key-days", "maximum lifetime of a new API key, from 1 to 3650 days (default 365); without a choice a key lives 90 days", func(text string) (err error) {
		o.MaxKeyDays, err = portal.ParseKeyDays(text)
		return err
	})
	flags.Func("trusted-proxy", "address or range of the proxies in front of the portal, such as 10.0.0.0/8: X-Forwarded-For is believed only from there; repeatable", func(text string) error {
		prefix, err := portal.ParseTrustedProxy(text)
		o.TrustedProxies = append(o.TrustedProxies, prefix)
		return err
	})
	flags.BoolVar(&o.RequireSecondFactor, "require-second-factor", false, "managers who sign in with a password need a second factor; without one, they can only set it up")
	flags.StringVar(&o.RemoveSecondFactor, "remove-second-factor", "", "user name of a local user whose second factor is removed at the start; use it once, for a manager who lost the device and the recovery codes")
	flags.BoolVar(&o.NewFeedEpoch, "new-feed-epoch", false, "make readers of the change feed list everything again; use it once after restoring the database from a backup")
	flags.BoolVar(&o.HTTPCookies, "insecure-http-cookies", false, "let browsers send cookies over plain http; for loopback alone")
	flags.Func("log-level", "debug, info or error (default info)", level.Set)
	show := flags.Bool("version", false, "print the version and exit")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	if *show {
		fmt.Fprintln(std.Out, "portal", version.String())
		return nil
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; a command comes before the flags, see portal --help", flags.Arg(0))
	}
	if o.Log, err = logger(level); err != nil {
		return err
	}
	if *verify {
		return o.VerifyAudit(ctx, head, std.Out)
	}
	o.Web = web.New
	return portal.Run(ctx, o)
}

// logger writes the same JSON lines as the other programs, without linking Kubernetes.
func logger(level zapcore.Level) (logr.Logger, error) {
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(level)
	c.EncoderConfig.EncodeTime = zapcore.RFC3339TimeEncoder
	l, err := c.Build()
	if err != nil {
		return logr.Logger{}, fmt.Errorf("make the logger: %w", err)
	}
	return zapr.NewLogger(l).WithName("portal"), nil
}
