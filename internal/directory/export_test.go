package directory

// Sees says whether the cache knows a pool.
func (d *Directory) Sees(pool string) bool { return d.pools.get(pool) != nil }

// Knows says whether the cache knows a person.
func (d *Directory) Knows(id string) bool { return d.people.get(id) != nil }
