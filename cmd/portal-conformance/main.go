// SPDX-License-Identifier: Apache-2.0

// Command portal-conformance tests whether the operator can work with a portal: it runs the
// contract suite of this repository on the portal at a URL. The portal must be one for tests,
// because everything in it is deleted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"
	"time"

	"lightrun.com/scim-operator/test/conformance/contract"
	"lightrun.com/scim-operator/test/conformance/remote"
)

// patience is the maximum time for preparing the portal, and for cleaning it up.
const patience = 2 * time.Minute

const usage = `Usage: portal-conformance [flags] URL KEY

Tests whether the operator can work with the portal at URL. KEY is an API key with the scope manage.
The portal must be one for tests: one local manager, no other user, no pool but the default pool, no
operator. The tests delete everything in it. Exit status: 0 if all tests pass, 1 if not, 2 if the
portal cannot be tested.

Flags:
`

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "portal-conformance:", err)
		os.Exit(2)
	}
}

// run does not return if the tests could start: testing.Main ends the process.
func run(args []string, stderr io.Writer) error {
	var o remote.Options
	flags := flag.NewFlagSet("portal-conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	flags.StringVar(&o.Provisioning, "provisioning-key", "", "API key with the scope provisioning (default: made with KEY)")
	flags.StringVar(&o.Issuer, "issuer", "", "issuer of an OpenID Connect provider that the portal can reach; required, because the portal checks it")
	flags.StringVar(&o.MetadataURL, "saml-metadata-url", "", "URL of the metadata of a SAML provider; without it, the test of SAML is left out")
	metadata := flags.String("saml-metadata-file", "", "file with the same metadata")
	only := flags.String("run", "", "run only the tests that match this regular expression, such as Accounts or Feed/A_long_feed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() != 2:
		return errors.New("name the URL of the portal and an API key with the scope manage; see --help")
	case o.Issuer == "":
		return errors.New("--issuer is required: an OpenID Connect provider that the portal can reach")
	case (o.MetadataURL == "") != (*metadata == ""):
		return errors.New("--saml-metadata-url and --saml-metadata-file need each other")
	}
	o.URL, o.Manage = flags.Arg(0), flags.Arg(1)
	if *metadata != "" {
		text, err := os.ReadFile(*metadata)
		if err != nil {
			return err
		}
		o.Metadata = string(text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	portal, err := remote.Open(ctx, o)
	if err != nil {
		return err
	}
	test := func(t *testing.T) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := portal.Close(ctx); err != nil {
				t.Errorf("clean the portal up: %v", err)
			}
		})
		contract.Run(t, portal.Fixture)
	}
	// One test at a time: all use the one portal.
	os.Args = []string{"portal-conformance", "-test.v", "-test.parallel=1", "-test.run=^Contract$/" + *only}
	testing.Main(regexp.MatchString, []testing.InternalTest{{Name: "Contract", F: test}}, nil, nil)
	return nil
}
