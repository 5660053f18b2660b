package recipe

import (
	"cmp"
	"slices"
)

// Tombstone is a name that a recipe bore and bears no more. Grants that need it end, and nobody else inherits them by
// taking the name later.
type Tombstone struct {
	Kind string `json:"kind"` // client, scope, api or level
	Name string `json:"name"`
}

// Tombstones gives the names that went from old to new. A renamed client (was) did not go.
func Tombstones(before, after *Bundle) []Tombstone {
	if before == nil || after == nil {
		return nil
	}
	var stones []Tombstone
	old, now := before.Recipe, after.Recipe
	renamed := renames(old, now)
	for name := range old.Clients {
		if _, follows := renamed[name]; !follows && !has(now.Clients, name) {
			stones = append(stones, Tombstone{"client", name})
		}
	}
	for name := range old.Scopes {
		if !has(now.Scopes, name) {
			stones = append(stones, Tombstone{"scope", name})
		}
	}
	for name := range old.APIs {
		if !has(now.APIs, name) {
			stones = append(stones, Tombstone{"api", name})
		}
	}
	for _, name := range levelNames(old.Levels) {
		if !slices.Contains(levelNames(now.Levels), name) {
			stones = append(stones, Tombstone{"level", name})
		}
	}
	slices.SortFunc(stones, func(a, b Tombstone) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return stones
}

func has[V any](m map[string]V, name string) bool {
	_, ok := m[name]
	return ok
}
