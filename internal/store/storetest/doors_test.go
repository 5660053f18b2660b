package storetest

import "testing"

// RunDoors proves, on the engine that open opens, what the further doors of the protocol keep: requests that were pushed,
// authorizations that wait for a person elsewhere, grants of the front channel, clients that came by themselves, and who must
// hear of a sign-out.
func RunDoors(t *testing.T, open Opener) {
	proofs{
		"askings": askings, "pushed": pushings, "bound codes": boundCodes, "beginnings": beginnings, "hearings": hearings, "cursors": cursors,
		"registrations": registrations, "policies": policies, "documents": documents,
	}.run(t, open)
}

func second[T any](_ T, err error) error { return err }
