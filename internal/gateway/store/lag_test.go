// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"testing/synctest"
	"time"
)

// observed records the observed values.
type observed []float64

func (o *observed) Observe(v float64) { *o = append(*o, v) }

func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got observed
		l := lag{seconds: &got}
		l.known(3, 4) // delivered before
		l.known(6, 4)
		l.known(5, 4)
		<-time.After(2 * time.Second)
		l.came(5)
		if len(got) != 1 || got[0] != 2 || len(l.ahead) != 1 || l.watched.Load() != time.Now().Unix() {
			t.Errorf("%v, %v", got, l.ahead)
		}
		<-time.After(time.Second)
		l.came(9)
		if len(got) != 2 || got[1] != 3 || len(l.ahead) != 0 {
			t.Errorf("%v, %v", got, l.ahead)
		}
		for v := range uint64(2 * mostAhead) {
			l.known(10+v, 9)
		}
		if len(l.ahead) != mostAhead {
			t.Errorf("%d are kept", len(l.ahead))
		}
	})
}
