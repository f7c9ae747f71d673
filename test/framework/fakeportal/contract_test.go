// SPDX-License-Identifier: Apache-2.0

package fakeportal_test

import (
	"context"
	"errors"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/conformance/contract"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// The fake passes the contract of the real portal. HTTP requests go to the real server with the
// same records.
func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Fixture {
		clock := &portaltest.Clock{}
		s := portaltest.Store(t, portaltest.Options{Clock: clock, Unreachable: contract.Unreachable})
		return (contract.Fixture{
			Client: &fakeportal.Portal{Store: s}, URL: portaltest.Serve(t, s),
			Process: func(leader string) portalapi.Client { return &fakeportal.Portal{Store: s, Leader: leader} },
			Keys:    contract.Keys{Manage: portaltest.ManageKey, Read: portaltest.ReadKey, Provisioning: portaltest.ProvisioningKey, SCIM: portaltest.SCIMKey},
			Advance: clock.Advance,
			Truncate: func(keep int) {
				if err := s.TruncateFeed(t.Context(), keep); err != nil {
					t.Fatal(err)
				}
			},
			NewEpoch: func() {
				if err := s.NewFeedEpoch(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
		}).OnStubs()
	})
}

func TestHooksAndRecord(t *testing.T) {
	p := fakeportal.New(t, fakeportal.Options{})
	lost, down := errors.New("answer lost"), errors.New("portal down")
	write := portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u", Name: "s", Revision: 1}, UserName: "ada@example.test", Active: true}

	p.Before = func(context.Context, fakeportal.Call) error { return down }
	if _, err := p.PutAccount(t.Context(), write); !errors.Is(err, down) {
		t.Fatalf("the error of a portal that is down is %v", err)
	}
	p.Before = nil
	p.After = func(context.Context, fakeportal.Call, error) error { return lost }
	if _, err := p.PutAccount(t.Context(), write); !errors.Is(err, lost) {
		t.Fatalf("a lost answer is %v", err)
	}
	p.After = nil
	page, _, err := p.Accounts(t.Context(), "", 10)
	if err != nil || len(page) != 1 {
		t.Fatalf("%d accounts, want the one whose answer was lost (%v)", len(page), err)
	}
	if writes := p.Writes(); len(writes) != 2 || writes[0] != (fakeportal.Call{Method: "PutAccount", ID: "u", Write: true}) {
		t.Errorf("writes: %v", writes)
	}
	p.Forget()
	if calls := p.Calls(); len(calls) != 0 {
		t.Errorf("calls after forgetting: %v", calls)
	}
}
