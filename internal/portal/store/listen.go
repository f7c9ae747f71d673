// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// listenAgain is the pause before a reconnect after the listening connection broke.
const listenAgain = time.Second

// listenInBackground listens until the store is closed. Close waits for it to end.
func (s *Store) listenInBackground(database string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.listen(ctx, database)
	}()
	s.stop = func() {
		cancel()
		<-done
	}
}

// listen rings the bell for changes that other processes commit to the same PostgreSQL, until ctx
// ends. While the connection is broken, readers of the feed see changes at the end of their wait.
func (s *Store) listen(ctx context.Context, database string) {
	for ctx.Err() == nil {
		_ = s.listenOnce(ctx, database) // it always returns an error, and the only reaction is to try again
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `LISTEN portal_feed`); err != nil {
		return err
	}
	for {
		s.bell.ring() // once at the start, for changes committed while no process listened
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}
