// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// poolKeysPage is the page of a pool's keys.
type poolKeysPage struct {
	Pool    *store.Pool
	Active  *store.PoolKey // nil if there is none
	Former  *store.PoolKey // the deprecated key; nil if there is none
	Ended   bool           // Former does not work any more
	Created *store.PoolKey // with Secret: shown only once
	Secret  string
}

func (s *site) poolKeys(v *visit) error {
	return s.showPoolKeys(v, http.StatusOK, "", poolKeysPage{})
}

func (s *site) showPoolKeys(v *visit, status int, problem string, body poolKeysPage) error {
	id := v.PathValue("id")
	pool, err := s.store.Pool(v.Context(), id)
	if err != nil {
		return err
	}
	all, err := s.store.PoolKeys(v.Context(), id)
	if err != nil {
		return err
	}
	body.Pool = pool
	for i := range all {
		if all[i].Active() {
			body.Active = &all[i]
		} else {
			body.Former, body.Ended = &all[i], all[i].EndedAt(time.Now())
		}
	}
	return s.show(v, status, "pool_keys", view{Title: "Keys of " + pool.Name, Section: "pools", Secret: body.Secret != "",
		Crumbs: way("Keys", toPools, pool.Name+"|/pools/"+id), Problem: problem, Body: body})
}

// rotatePoolKey responds with the secret directly and does not redirect, because the secret is not
// stored.
func (s *site) rotatePoolKey(v *visit) error {
	days, err := strconv.Atoi(cmp.Or(v.PostFormValue("days"), "0"))
	if err != nil || days < 0 || days > int(store.MaxOverlap.Hours()/24) {
		return s.showPoolKeys(v, http.StatusBadRequest, "Choose for how many days the former key still works.", poolKeysPage{})
	}
	key, secret, err := s.store.RotatePoolKey(v.Context(), v.actor(), v.PathValue("id"), v.PostFormValue("active"), time.Duration(days)*24*time.Hour)
	if err != nil {
		return s.poolKeyRefused(v, err)
	}
	return s.showPoolKeys(v, http.StatusCreated, "", poolKeysPage{Created: key, Secret: secret})
}

func (s *site) revertPoolKey(v *visit) error {
	id := v.PathValue("id")
	if err := s.store.RevertPoolKey(v.Context(), v.actor(), id, v.PathValue("key")); err != nil {
		return s.poolKeyRefused(v, err)
	}
	return s.done(v, "pool-key-reverted", "/pools/"+id+"/keys")
}

func (s *site) confirmRevokePoolKey(v *visit) error {
	id := v.PathValue("id")
	pool, err := s.store.Pool(v.Context(), id)
	if err != nil {
		return err
	}
	all, err := s.store.PoolKeys(v.Context(), id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(k store.PoolKey) bool { return k.ID == v.PathValue("key") })
	if at < 0 {
		return refusal(http.StatusNotFound, portalapi.CodeNotFound, "There is no such key. It may have been revoked already.")
	}
	text := "Agents that still have it are refused from then on. This cannot be undone."
	if all[at].Active() {
		text = "This is the active key of the pool: all agents that have it are refused from then on. To change the key without that, make a new key instead. This cannot be undone."
	}
	path := "/pools/" + id + "/keys"
	return s.show(v, http.StatusOK, "confirm", view{Title: "Revoke a key of " + pool.Name, Section: "pools", Crumbs: way("Revoke", toPools, pool.Name+"|/pools/"+id, "Keys|"+path), Body: confirmation{
		Heading: "Revoke the key that ends in " + all[at].Hint + "?", Submit: "Revoke key", Action: path + "/" + all[at].ID + "/revoke", Back: path, Text: []string{text},
	}})
}

func (s *site) revokePoolKey(v *visit) error {
	id := v.PathValue("id")
	if err := s.store.RevokePoolKey(v.Context(), v.actor(), id, v.PathValue("key")); err != nil {
		return s.poolKeyRefused(v, err)
	}
	return s.done(v, "pool-key-revoked", "/pools/"+id+"/keys")
}

// poolKeyRefused shows the keys with the reason of the refusal.
func (s *site) poolKeyRefused(v *visit, err error) error {
	e := asRefusal(err)
	if e == nil || e.Code == portalapi.CodeNotFound {
		return err
	}
	return s.showPoolKeys(v, e.Status, sentenceOf(e.Message), poolKeysPage{})
}
