package session

import (
	"fmt"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

// Notes seals what a transaction leaves for itself in the row of a one-time link: nobody who reads the storage, and no
// row of another link, can use it. All fields are required.
type Notes struct {
	Sealer seal.Sealer
	Tenant iam.Tenant
}

func (n Notes) place(link iam.LinkHash) seal.AD {
	return seal.AD{Tenant: string(n.Tenant), Table: "links", Row: iam.Digest(link).String()}
}

// Seal hides a note in the row of link.
func (n Notes) Seal(link iam.LinkHash, note []byte) (string, error) {
	return n.Sealer.Seal(n.place(link), note)
}

// Open gives the note that stands in the row of link.
func (n Notes) Open(link iam.LinkHash, sealed string) ([]byte, error) {
	note, err := n.Sealer.Open(n.place(link), sealed)
	if err != nil {
		return nil, fmt.Errorf("open the note of a link: %w", err)
	}
	return note, nil
}

func (n Notes) state(flow iam.FlowHash) seal.AD {
	return seal.AD{Tenant: string(n.Tenant), Table: "flows", Row: iam.Digest(flow).String()}
}

// SealState hides what a transaction keeps for a later page, in the row of that flow.
func (n Notes) SealState(flow iam.FlowHash, state []byte) (string, error) {
	return n.Sealer.Seal(n.state(flow), state)
}

// OpenState gives what stands in the row of flow.
func (n Notes) OpenState(flow iam.FlowHash, sealed string) ([]byte, error) {
	state, err := n.Sealer.Open(n.state(flow), sealed)
	if err != nil {
		return nil, fmt.Errorf("open the state of a transaction: %w", err)
	}
	return state, nil
}
