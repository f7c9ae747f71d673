// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/go-logr/logr"
)

// settle is the time for which the files must not change before they are read again: the kubelet
// changes several links in a row.
const settle = 50 * time.Millisecond

// Watch reads the files, and again whenever they change, until ctx ends. It notices changes
// immediately if the system notifies it, and after rescan at the latest.
func (s *Set) Watch(ctx context.Context, log logr.Logger, rescan time.Duration) error {
	s.load(log)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	ticker := time.NewTicker(rescan)
	defer ticker.Stop()
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	s.follow(watcher)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			quiet.Reset(settle)
		case err := <-watcher.Errors:
			log.Info("Cannot watch the token files; they are read periodically", "error", err.Error())
		case <-ticker.C:
			s.follow(watcher)
			s.load(log)
		case <-quiet.C:
			s.follow(watcher)
			s.load(log)
		}
	}
}

func (s *Set) load(log logr.Logger) {
	before := s.Len()
	if err := s.Load(); err != nil {
		log.Error(err, "Cannot read all token files; after an unreadable file or folder the tokens stay as they were", "tokens", s.Len())
	}
	if s.Len() != before {
		log.Info("Number of tokens changed", "before", before, "now", s.Len())
	}
}

// follow watches every directory, the parent of missing ones, and their sub-directories. Adding one
// twice is harmless.
func (s *Set) follow(watcher *fsnotify.Watcher) {
	for _, dir := range s.dirs {
		if watcher.Add(dir) != nil {
			_ = watcher.Add(filepath.Dir(dir))
			continue
		}
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && path != dir {
				_ = watcher.Add(path)
			}
			return nil
		})
	}
}
