// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"lightrun.com/scim-operator/internal/portal"
)

// command is one of the program's commands beside serving.
type command struct {
	usage string // the arguments
	help  string
	args  int
	run   func(ctx context.Context, o portal.Options, args []string, std portal.Streams) error
}

var commands = map[string]command{
	"backup": {
		usage: "backup [flags] FILE",
		help:  "Backup writes the database to FILE, while portals serve it. FILE is for both kinds of database; - is the standard output.",
		args:  1,
		run: func(ctx context.Context, o portal.Options, args []string, std portal.Streams) error {
			return o.Backup(ctx, args[0], std)
		},
	},
	"restore": {
		usage: "restore [flags] FILE",
		help:  "Restore writes a backup into an empty database, of either kind, all or nothing. FILE - is the standard input. No portal may run on the database.",
		args:  1,
		run: func(ctx context.Context, o portal.Options, args []string, std portal.Streams) error {
			return o.Restore(ctx, args[0], std)
		},
	},
}

// execute runs a command. Its flags may be before and after its arguments.
func execute(ctx context.Context, name string, args []string, std portal.Streams) error {
	c, ok := commands[name]
	if !ok {
		return fmt.Errorf("unknown command %q; see portal --help", name)
	}
	var o portal.Options
	flags := flag.NewFlagSet("portal "+name, flag.ContinueOnError)
	flags.SetOutput(std.Err)
	databaseFlags(flags, &o)
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
	return c.run(ctx, o, given, std)
}

// databaseFlags are the flags that all commands have.
func databaseFlags(flags *flag.FlagSet, o *portal.Options) {
	flags.StringVar(&o.Database, "database", "portal.db", "SQLite file, or postgres:// URL")
	flags.StringVar(&o.SecretKeyFile, "secret-key-file", "", "file with the keys that encrypt second factors and the client secret in the database, one a line in base64, the one in use first; without it, they are stored in clear")
	flags.StringVar(&o.AuditKeyFile, "audit-key-file", "", "file with the keys of the audit's chain, one a line in base64, the one in use first; without it, changes of the audit in the database are not noticed")
}

// usage writes the program's help.
func usage(flags *flag.FlagSet, out io.Writer) {
	fmt.Fprintln(out, "Usage: portal [flags], or one of these; portal COMMAND --help explains it:")
	for _, name := range []string{"backup", "restore"} {
		fmt.Fprintln(out, "  portal", strings.ReplaceAll(commands[name].usage, "[flags] ", ""))
	}
	fmt.Fprintln(out, "\nFlags:")
	flags.PrintDefaults()
}
