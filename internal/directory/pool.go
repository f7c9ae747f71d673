package directory

import (
	"iter"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/scim/schema"
	"lightrun.com/scim-operator/internal/scim/server"
)

// pool is what the cache keeps of an AgentPool.
type pool struct {
	resource *server.Resource // nil when it is not seen over SCIM
	name     string           // its name as a Group
}

func (d *Directory) poolRecord(p *v1alpha1.AgentPool) (*record[*pool], error) {
	v, err := version(p.ResourceVersion)
	if err != nil {
		return nil, err
	}
	key := listKey(p.CreationTimestamp.Unix(), p.Name)
	value := &pool{}
	if name, visible := p.SCIMName(); visible {
		value.name = name
		if value.resource, err = d.groupResource(p, name, key); err != nil {
			return nil, err
		}
	}
	return &record[*pool]{key: key, uid: string(p.UID), version: v, keys: poolKeys(p, value.name), value: value}, nil
}

func (d *Directory) groupResource(p *v1alpha1.AgentPool, name, key string) (*server.Resource, error) {
	body, err := encodeGroup(p, name)
	if err != nil {
		return nil, err
	}
	return &server.Resource{Type: schema.Group(), ID: p.Name, Key: key, JSON: body, Links: d.membersOf(p.Name)}, nil
}

func poolKeys(p *v1alpha1.AgentPool, name string) []string {
	var keys []string
	if name != "" {
		keys = append(keys, keyName+names.Fold(name))
		if p.Spec.IDP != nil && p.Spec.IDP.ExternalID != "" {
			keys = append(keys, keyExternalID+p.Spec.IDP.ExternalID)
		}
	}
	if p.Spec.GroupName != "" && !linked(p) {
		keys = append(keys, keyOffered+names.Fold(p.Spec.GroupName))
	}
	slices.Sort(keys)
	return keys
}

// linked says whether a group of the provider fills the pool.
func linked(p *v1alpha1.AgentPool) bool { return p.Spec.IDP != nil && !p.Spec.IDP.Unlinked }

// membersOf lists those whom the provider put in the pool.
func (d *Directory) membersOf(id string) iter.Seq[server.Link] {
	return func(yield func(server.Link) bool) {
		for _, r := range d.people.under(keyPool + id) {
			if !yield(server.Link{ID: r.id(), Display: r.value.label, Type: "User"}) {
				return
			}
		}
	}
}
