package server

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"lightrun.com/scim-operator/internal/provider"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/quirk"
)

// clientOf is the kind of client that a User-Agent belongs to, as a type of provider; empty where
// it says nothing about that. Okta documents "Okta SCIM Client 1.0.0"; Microsoft's clients name
// Microsoft, Azure AD or Entra.
func clientOf(userAgent string) string {
	agent := strings.ToLower(userAgent)
	for _, known := range []struct{ word, client string }{
		{"okta", provider.Okta}, {"microsoft", provider.EntraID}, {"azure", provider.EntraID}, {"entra", provider.EntraID},
	} {
		if strings.Contains(agent, known.word) {
			return known.client
		}
	}
	return ""
}

// clientByDialect is the kind of client that writes such a body; empty where others do too.
func clientByDialect(names []quirk.Name) string {
	if slices.Contains(names, quirk.CapitalisedOperation) || slices.Contains(names, quirk.DottedKey) {
		return provider.EntraID
	}
	return ""
}

// clients remembers which kinds of client each token has served in this process.
type clients struct {
	mu    sync.Mutex
	first map[[32]byte]string
	told  map[second]bool
}

type second struct {
	token  [32]byte
	client string
}

func newClients() *clients {
	return &clients{first: map[[32]byte]string{}, told: map[second]bool{}}
}

// second says whether client is another kind than the token is for, and whether that is news. A
// token is for the kind of its provider; one for a provider of the type Other is for the first kind
// that it served.
func (k *clients) second(token Identity, client string) (first string, is, news bool) {
	first = token.Provider.Type
	if client == "" || client == first {
		return first, false, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if first != provider.Okta && first != provider.EntraID {
		if len(k.first) >= maxBuckets {
			clear(k.first)
		}
		if k.first[token.Secret] == "" {
			k.first[token.Secret] = client
		}
		first = k.first[token.Secret]
	}
	if first == client {
		return first, false, false
	}
	if len(k.told) >= maxBuckets {
		clear(k.told)
	}
	key := second{token.Secret, client}
	news = !k.told[key]
	k.told[key] = true
	return first, true, news
}

// note reports a second kind of client on the call's token, and refuses it where the configuration
// says so. The log has one line for each token and kind; the metric counts each request.
func (c *call) note(client string) error {
	first, is, news := c.clients.second(c.identity, client)
	if !is {
		return nil
	}
	if !c.counted {
		c.counted = true
		c.metrics.second.WithLabelValues(c.identity.Name, client).Inc()
	}
	if news {
		c.log.Info("A second kind of client uses a token; make a token of its own for each client, and find out who has this one",
			"token", c.identity.Name, "first", first, "second", client, "refused", c.config.RefuseSecondClient)
	}
	if !c.config.RefuseSecondClient {
		return nil
	}
	return scim.Failure(http.StatusForbidden,
		"This token serves %s, and the request looks like one of %s. Nothing was changed. Give each client a token of its own, or set identityProvider.onSecondClient of the IdentityConfiguration to Report.", first, client)
}
