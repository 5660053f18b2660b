package recipe

import (
	"maps"
	"slices"
)

// checkProfiles sees that every client meets its own profile, and that of each API whose tokens it may get.
func checkProfiles(r *reading) {
	guarded := r.guarded()
	for name, client := range r.recipe.Clients {
		at := path("clients").key(name)
		if _, known := grantsOf[client.Type]; !known {
			continue
		}
		r.breaches(at, client.Profile, client)
		for _, api := range r.audiences(client, guarded) {
			r.audience(at, client, api)
		}
	}
	for name, policy := range r.recipe.Registration {
		for _, scope := range policy.Scopes {
			for _, api := range guarded[scope] {
				if wanted := r.recipe.APIs[api].Profile; wanted != OAuth21 && !policy.Profile.Meets(wanted) {
					r.fault(path("registration").key(name).key("profile"), "its clients may get tokens of the API "+shown(api)+", which asks for the profile "+string(wanted),
						"write profile: "+string(wanted)+", or leave "+scope+" out of its scopes")
				}
			}
		}
	}
}

// guarded lists the APIs that ask something of their callers by the scopes that open them.
func (r *reading) guarded() map[string][]string {
	guarded := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.recipe.APIs)) {
		api := r.recipe.APIs[name]
		if api.Profile == "" && api.Bound != BoundOff {
			continue
		}
		for _, operation := range api.Operations {
			if operation.Scope != "" && !slices.Contains(guarded[operation.Scope], name) {
				guarded[operation.Scope] = append(guarded[operation.Scope], name)
			}
		}
	}
	return guarded
}

// audiences lists those of these APIs whose tokens a client may get, by a scope or a rich request.
func (r *reading) audiences(client Client, guarded map[string][]string) []string {
	var names []string
	for _, scope := range client.Scopes {
		names = append(names, guarded[scope]...)
	}
	if len(client.Details) > 0 {
		for name, api := range r.recipe.APIs {
			if slices.ContainsFunc(client.Details, func(kind string) bool { return has(api.Details, kind) }) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// breaches reports what a client lacks of its profile.
func (r *reading) breaches(at path, profile Profile, client Client) {
	if profile == "" || !slices.Contains(profileNames, string(profile)) {
		return
	}
	for _, breach := range profile.Refusals(client) {
		if !r.unread(at.key(breach.Key)) {
			r.fault(at.key(breach.Key), "does not meet the profile "+string(profile)+": "+breach.Error(), "change it, or leave the profile out")
		}
	}
}

// audience refuses a client that asks for less than an API does, and one whose tokens the API would not bind.
func (r *reading) audience(at path, client Client, name string) {
	api := r.recipe.APIs[name]
	if (client.DPoP || client.TLSBound) && api.Bound == BoundOff {
		key := "dpop_bound_access_tokens"
		if client.TLSBound {
			key = "tls_client_certificate_bound_access_tokens"
		}
		r.fault(at.key(key), "the API "+shown(name)+" never binds its tokens", "write bound: offered at the API, or leave it out")
	}
	wanted := api.Profile
	if !slices.Contains(apiProfiles, string(wanted)) || client.Profile.Meets(wanted) {
		return
	}
	if breaches := wanted.Refusals(client); wanted == OAuth21 && len(breaches) == 0 {
		return // everyone obeys OAuth 2.1 who has no exception from it
	} else if len(breaches) > 0 {
		r.fault(at.key(breaches[0].Key), "the API "+shown(name)+" asks for the profile "+string(wanted)+": "+breaches[0].Error(),
			"meet it and write profile: "+string(wanted)+", or take away what opens the API")
		return
	}
	r.fault(at.key("profile"), "the API "+shown(name)+" asks for the profile "+string(wanted)+", and this client does not name it",
		"write profile: "+string(wanted)+", or take away what opens the API")
}
