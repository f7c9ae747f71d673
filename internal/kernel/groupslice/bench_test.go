// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/test/framework/controlplane"
)

// sized returns a group of n members on the real API server.
func sized(b *testing.B, n int) (*Store, []string) {
	b.Helper()
	cp := controlplane.Get(b)
	s := NewStore(cp.Client, cp.Namespace(b), Options{FieldOwner: "bench"})
	members := ids(n)
	withGroup(b, cp.Client, s, members...)
	return s, members
}

// BenchmarkAddOne adds members one by one, from one client and from sixteen.
func BenchmarkAddOne(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("members=%d/clients=%d", n, clients), func(b *testing.B) {
				s, _ := sized(b, n)
				if _, err := s.Members(b.Context(), groupID); err != nil {
					b.Fatal(err)
				}
				b.SetParallelism(clients)
				b.ResetTimer()
				add := func() {
					if err := s.Change(b.Context(), groupID, []Change{{uuid.NewString(), true}}); err != nil {
						b.Error(err)
					}
				}
				if clients == 1 {
					for b.Loop() {
						add()
					}
					return
				}
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						add()
					}
				})
			})
		}
	}
}

// BenchmarkCreate creates whole groups.
func BenchmarkCreate(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			cp := controlplane.Get(b)
			s := NewStore(cp.Client, cp.Namespace(b), Options{FieldOwner: "bench"})
			members := ids(n)
			for b.Loop() {
				if err := s.Create(b.Context(), uuid.NewString(), members); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPush pushes a group as a provider does: the first 10,000 members create it, and each
// request after that adds 10,000.
func BenchmarkPush(b *testing.B) {
	const request = 10_000
	for _, n := range []int{20_000, 100_000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			cp := controlplane.Get(b)
			members := ids(n)
			rand.Shuffle(n, func(i, j int) { members[i], members[j] = members[j], members[i] })
			requests := map[string]int{}
			for b.Loop() {
				c := &counting{Client: cp.Client}
				s := NewStore(c, cp.Namespace(b), Options{FieldOwner: "bench"})
				withGroup(b, cp.Client, s, members[:request]...)
				for at := request; at < n; at += request {
					if err := s.Change(b.Context(), groupID, changes(members[at:at+request])); err != nil {
						b.Fatal(err)
					}
				}
				requests = c.take()
			}
			b.ReportMetric(float64(requests["write"]), "writes/op")
			b.ReportMetric(float64(requests["get"]), "gets/op")
		})
	}
}

// BenchmarkReplace replaces all members by others.
func BenchmarkReplace(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			s, members := sized(b, n)
			sets := [][]string{ids(n), members}
			for i := 0; b.Loop(); i++ {
				if err := s.Replace(b.Context(), groupID, sets[i%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMembers reads all members, and checks one membership.
func BenchmarkMembers(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		s, members := sized(b, n)
		b.Run(fmt.Sprintf("all/members=%d", n), func(b *testing.B) {
			for b.Loop() {
				if have, err := s.Members(b.Context(), groupID); err != nil || len(have) != n {
					b.Fatal(len(have), err)
				}
			}
		})
		b.Run(fmt.Sprintf("contains/members=%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if in, err := s.Contains(b.Context(), groupID, members[i%n]); err != nil || !in {
					b.Fatal(in, err)
				}
			}
		})
	}
}
