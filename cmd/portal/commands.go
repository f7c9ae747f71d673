// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
)

// options are the flags of all commands.
type options struct {
	portal.Options
	head string
	to   int64
	yes  bool
}

// command is one of the program's commands beside serving.
type command struct {
	name, usage string // usage has the name and the arguments
	help        string
	args        int
	flags       func(*flag.FlagSet, *options) // beside those of the database; may be nil
	run         func(ctx context.Context, o *options, args []string, std portal.Streams) error
}

var commands = []command{
	{
		name:  "backup",
		usage: "backup [flags] FILE",
		help:  "Backup writes the database to FILE, while portals serve it. FILE is for both kinds of database; - is the standard output.",
		args:  1,
		run: func(ctx context.Context, o *options, args []string, std portal.Streams) error {
			return o.Backup(ctx, args[0], std)
		},
	},
	{
		name:  "restore",
		usage: "restore [flags] FILE",
		help:  "Restore writes a backup into an empty database, of either kind, all or nothing. FILE - is the standard input. No portal may run on the database.",
		args:  1,
		run: func(ctx context.Context, o *options, args []string, std portal.Streams) error {
			return o.Restore(ctx, args[0], std)
		},
	},
	{
		name:  "check",
		usage: "check [flags]",
		help: "Check compares the database with the portal's rules, while portals serve it, and changes nothing. Each line is a finding with its remedy.\n" +
			"The exit status is 0 without a finding, 1 with findings, and 2 if the check was not possible.",
		flags: func(flags *flag.FlagSet, o *options) { headFlag(flags, &o.head) },
		run: func(ctx context.Context, o *options, _ []string, std portal.Streams) error {
			return unchecked(o.Check(ctx, o.head, std))
		},
	},
	{
		name:  "migrate",
		usage: "migrate [flags] up|down|status",
		help: "Migrate changes the tables between the versions of the schema; a start of the portal migrates up by itself. No portal may run on the database.\n" +
			"Before an older program can be used again, this program migrates down to the version that the older one knows. What each way down loses:\n" + losses(),
		args: 1,
		flags: func(flags *flag.FlagSet, o *options) {
			flags.Int64Var(&o.to, "to", -1, "with up or down: the version to reach; up goes to the newest without it")
			flags.BoolVar(&o.yes, "yes", false, "with down: accept what it loses")
		},
		run: migrate,
	},
}

func migrate(ctx context.Context, o *options, args []string, std portal.Streams) error {
	switch args[0] {
	case "up":
		return o.MigrateUp(ctx, o.to, std)
	case "down":
		return o.MigrateDown(ctx, o.to, o.yes, std)
	case "status":
		return o.MigrationStatus(ctx, std)
	}
	return fmt.Errorf("unknown direction %q; use up, down or status", args[0])
}

// losses lists what each migration down loses.
func losses() string {
	var b strings.Builder
	for _, m := range store.Migrations() {
		if !strings.HasPrefix(m.Loses, "nothing") {
			fmt.Fprintf(&b, "  from %d (%s): %s\n", m.Version, m.Name, m.Loses)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// execute runs a command. Its flags may be before and after its arguments.
func execute(ctx context.Context, name string, args []string, std portal.Streams) error {
	at := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if at < 0 {
		return fmt.Errorf("unknown command %q; see portal --help", name)
	}
	c := commands[at]
	var o options
	flags := flag.NewFlagSet("portal "+name, flag.ContinueOnError)
	flags.SetOutput(std.Err)
	databaseFlags(flags, &o.Options)
	if c.flags != nil {
		c.flags(flags, &o)
	}
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "Usage: portal %s\n\n%s\n\nFlags:\n", c.usage, c.help)
		flags.PrintDefaults()
	}
	var given []string
	for {
		if err := flags.Parse(args); err != nil {
			return err
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		given, args = append(given, args[0]), args[1:]
	}
	if len(given) != c.args {
		return errors.New("usage: portal " + c.usage)
	}
	return c.run(ctx, &o, given, std)
}

// databaseFlags are the flags that all commands have.
func databaseFlags(flags *flag.FlagSet, o *portal.Options) {
	flags.StringVar(&o.Database, "database", "portal.db", "SQLite file, or postgres:// URL")
	flags.Func("database-url-file", "file with the postgres:// URL, in place of --database: its password is then not in the list of processes", func(path string) (err error) {
		o.Database, err = portal.ReadDatabaseURL(path)
		return err
	})
	flags.StringVar(&o.SecretKeyFile, "secret-key-file", "", "file with the keys that encrypt second factors and the client secret in the database, one a line in base64, the one in use first; without it, they are stored in clear")
	flags.StringVar(&o.AuditKeyFile, "audit-key-file", "", "file with the keys of the audit's chain, one a line in base64, the one in use first; without it, changes of the audit in the database are not noticed")
}

func headFlag(flags *flag.FlagSet, head *string) {
	flags.StringVar(head, "audit-head", "", "with a check of the audit: the sequence and MAC of status.auditHead of the IdentityConfiguration, as sequence/mac")
}

// statusError is an error with an exit status of its own.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// unchecked gives the error of a check that was not possible another exit status than findings
// have.
func unchecked(err error) error {
	if err == nil || errors.Is(err, portal.ErrFindings) {
		return err
	}
	return &statusError{err, 2}
}

// exitStatus returns the exit status of the program.
func exitStatus(err error) int {
	var own *statusError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &own):
		return own.status
	}
	return 1
}

// usage writes the program's help.
func usage(flags *flag.FlagSet, out io.Writer) {
	fmt.Fprintln(out, "Usage: portal [flags], or one of these; portal COMMAND --help explains it:")
	for _, c := range commands {
		fmt.Fprintln(out, "  portal", c.usage)
	}
	fmt.Fprintln(out, "\nFlags:")
	flags.PrintDefaults()
}
