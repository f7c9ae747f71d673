// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Main runs a benchmark until it ends or is interrupted, and exits with 1 after an error. The
// command is how people start it, such as "make bench".
func Main(command string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log.SetLogger(logr.Discard()) // client libraries log here
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", command, err)
		os.Exit(1)
	}
}

// Assets returns the folder of kube-apiserver and etcd.
func Assets() string {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir
	}
	return filepath.Join("bin", "k8s")
}

// Sizes parses the flag --sizes: numbers of users that are separated by commas, each at least the
// minimum. Empty is none.
func Sizes(text string, minimum int) ([]int, error) {
	var out []int
	if text == "" {
		return nil, nil
	}
	for number := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(number)
		if err != nil || n < minimum {
			return nil, fmt.Errorf("--sizes: %q must be an integer of at least %d", number, minimum)
		}
		if len(out) > 0 && n < out[len(out)-1] {
			return nil, fmt.Errorf("--sizes: %s must be in ascending order, because a benchmark only adds users", text)
		}
		out = append(out, n)
	}
	return out, nil
}
