// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// IsBusy reports whether err means that the database cannot serve the request now, but may serve it
// later: it is locked, unreachable or shutting down, or the request timed out.
func IsBusy(err error) bool {
	var (
		lite *driver.Error
		pg   *pgconn.PgError
		wire net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return true
	case errors.As(err, &lite):
		return lite.Code()&0xff == codes.SQLITE_BUSY || lite.Code()&0xff == codes.SQLITE_LOCKED
	case errors.As(err, &pg):
		return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03" || len(pg.Code) == 5 && (pg.Code[:2] == "57" || pg.Code[:2] == "53" || pg.Code[:2] == "08")
	}
	return errors.As(err, &wire) || pgconn.SafeToRetry(err)
}
