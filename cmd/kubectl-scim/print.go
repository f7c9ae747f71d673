// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// print writes v in the format of -o: by asTable, or as JSON or YAML.
func (o *options) print(v any, asTable func(io.Writer)) error {
	switch o.output {
	case "table", "":
		asTable(o.streams.Out)
		return nil
	case "json":
		e := json.NewEncoder(o.streams.Out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = o.streams.Out.Write(data)
		return err
	}
	return fmt.Errorf("-o %s: use table, json or yaml", o.output)
}

// table writes rows of cells in columns, as kubectl does.
func table(w io.Writer, rows [][]string) {
	var b strings.Builder
	t := printers.GetNewTabWriter(&b)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	_ = t.Flush() // into memory
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
