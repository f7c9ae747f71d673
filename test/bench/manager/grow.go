// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/bench/internal/seed"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// grow adds copies of the first user until there are n users, and leaves the manager stopped. This
// process writes the accounts with the portal's store, as the manager would write them, and the
// ScimUsers directly into etcd, with the ids of the accounts in their status. The webhook adds the
// new users to the group that fills the pool payments. The restart that follows fails if the
// manager writes a ScimUser, a NameClaim or an account.
func (s *suite) grow(ctx context.Context, n int) error {
	if err := errors.Join(s.env.Halt(devenv.Manager), s.env.Halt(devenv.Portal)); err != nil {
		return err
	}
	if err := s.refreshTemplate(ctx); err != nil {
		return err
	}
	users := make([]seed.Person, max(0, n-s.users))
	for i := range users {
		users[i] = seed.Nth(s.seeded + i)
	}
	fmt.Printf("Seeding %d users, for %d in all\n", len(users), n)
	if err := s.openAccounts(ctx, users); err != nil {
		return fmt.Errorf("write accounts: %w", err)
	}
	if err := s.etcd.Put(ctx, s.template, users); err != nil {
		return fmt.Errorf("seed etcd: %w", err)
	}
	s.users += len(users)
	s.seeded += len(users)
	if err := s.env.Restart(ctx, devenv.Portal); err != nil {
		return err
	}
	if len(users) == 0 {
		return nil
	}
	if err := seed.Visible(ctx, s.env.Client, users[len(users)-1].ID); err != nil {
		return err
	}
	members := make([]string, len(users))
	for i, p := range users {
		members[i] = p.ID
	}
	if err := s.join(ctx, s.paymentsID, members); err != nil {
		return fmt.Errorf("add the users to the group %s: %w", paymentsGroup, err)
	}
	return nil
}

// openAccounts writes an account for each user with the portal's store, and stores its id in
// users. The portal must be stopped.
func (s *suite) openAccounts(ctx context.Context, users []seed.Person) (err error) {
	books, err := store.Open(ctx, store.Options{Database: filepath.Join(s.env.Dir, "portal", "portal.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	found, _, err := books.Accounts(ctx, store.AccountFilter{UserName: s.first.Spec.UserName}, "", 1)
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0].ID != s.first.Status.Account {
		return fmt.Errorf("the portal has no account %s of %s", s.first.Status.Account, s.first.Spec.UserName)
	}
	config, err := books.Configuration(ctx)
	if err != nil {
		return err
	}
	// Bind this process as the leader instead of the stopped manager. The portal refuses a leader
	// that was replaced before, so each call has a new name. The next manager binds again.
	operator := store.Actor{Kind: store.Operator, Name: "seed", Scopes: []store.Scope{store.ScopeProvisioning}, Leader: "seed " + uuid.NewString()}
	if _, err := books.Bind(ctx, operator, *config.Binding); err != nil {
		return err
	}
	begun := time.Now()
	for i := range users {
		if i > 0 && i%20_000 == 0 {
			fmt.Printf("  %d of %d accounts written after %s\n", i, len(users), time.Since(begun).Round(time.Second))
		}
		u, err := s.template.Copy(users[i])
		if err != nil {
			return err
		}
		account, err := books.PutAccount(ctx, operator, provision.Want(u, found[0].Pools, nil).AccountWrite)
		if err != nil {
			return err
		}
		users[i].Account = account.ID
	}
	return nil
}
