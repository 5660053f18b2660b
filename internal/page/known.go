package page

import "time"

// What was done with devices, habits, approvals and accounts.
const (
	NoteDeviceRenamed   Note = "device_renamed"
	NoteDeviceForgotten Note = "device_forgotten"
	NoteHabitsOff       Note = "habits_off"
	NoteHabitsOn        Note = "habits_on"
	NoteHabitsErased    Note = "habits_erased"
	NoteSignInAllowed   Note = "signin_allowed"
	NoteSignInDenied    Note = "signin_denied"
	NoteSignInOver      Note = "signin_over"
	NoteNotYou          Note = "not_you"
)

// Known is a device that the person has signed in from.
type Known struct {
	ID, Name      string
	Agent, Place  string
	Created, Seen time.Time
	Current       bool
	Sessions      int // that live on it
}

// Devices lists them. Its rows lead to Action?id=.
type Devices struct {
	Common
	Action  string
	Bar     []Corner
	Devices []Known
	Notice  Note
}

// OneDevice shows one. Posts id, do=rename|forget, factor_name.
type OneDevice struct {
	Common
	Action string
	Device Known
	Back   string
}

// Habits tells what is learned of the person. Posts do=on|off|erase|export.
type Habits struct {
	Common
	Action string
	Bar    []Corner
	Off    bool
	Kept   bool // something was learned
	Since  time.Time
	Notice Note
}

// Approvals asks whether sign-ins elsewhere are the person's. Posts id, number, or id and decision=deny.
type Approvals struct {
	Common
	Action  string
	Bar     []Corner
	Waiting []WaitingSignIn
	Notice  Note
	Home    string
}

// WaitingSignIn waits on another device. One of the Numbers is what that device shows.
type WaitingSignIn struct {
	ID           string
	Agent, Place string
	When         time.Time
	Numbers      []string
}

// Choose lets the person choose as whom to go on. Posts flow, and session, other=yes or out=yes.
type Choose struct {
	Common
	Action, Flow string
	Client       Client
	Accounts     []SignedIn
	More         bool // another account may be added
}

// SignedIn is an account that this browser is signed in to.
type SignedIn struct {
	Session        string
	Username, Name string
	Email          string
	Current        bool
}

func (Devices) name() string   { return "devices" }
func (OneDevice) name() string { return "onedevice" }
func (Habits) name() string    { return "habits" }
func (Approvals) name() string { return "approvals" }
func (Choose) name() string    { return "choose" }

func (Devices) wide()   {}
func (Habits) wide()    {}
func (Approvals) wide() {}
