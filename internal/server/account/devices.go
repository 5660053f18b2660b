package account

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/web"
)

// DevicesPage is /account/devices: the devices that the person has signed in from, or the one that id names, to be renamed
// or forgotten.
func (e *Endpoint) DevicesPage(w http.ResponseWriter, r *http.Request) error {
	return either(w, r, e.showDevices, e.changeDevice)
}

func (e *Endpoint) showDevices(w http.ResponseWriter, r *http.Request) error {
	query, here, err := e.visit(w, r, "devices")
	if err != nil || here.user.ID == "" {
		return err
	}
	if query.Has("id") {
		return e.showDevice(w, r, here, query.Value("id"))
	}
	list, err := e.Known.UserDevices(r.Context(), here.user.ID, e.now())
	if err != nil {
		return err
	}
	view := page.Devices{Common: e.common(w, r, here), Action: devices, Bar: e.bar(devices), Notice: e.noticed(r, here, query)}
	for _, one := range list {
		view.Devices = append(view.Devices, knownAs(one, here))
	}
	return e.Pages().Render(w, r, http.StatusOK, view)
}

// deviceNames gives what the person calls their devices, by ID.
func (e *Endpoint) deviceNames(ctx context.Context, user string) (map[string]string, error) {
	if e.Known == nil {
		return nil, nil
	}
	list, err := e.Known.UserDevices(ctx, user, e.now())
	names := map[string]string{}
	for _, one := range list {
		names[one.ID] = one.Name
	}
	return names, err
}

func knownAs(one iam.Device, here presence) page.Known {
	return page.Known{
		ID: one.ID, Name: cmp.Or(one.Name, one.Agent), Agent: one.Agent, Place: place(one.Address), Created: one.Created, Seen: one.Seen,
		Current: one.ID == here.session.Device,
	}
}

func (e *Endpoint) showDevice(w http.ResponseWriter, r *http.Request, here presence, id string, problems ...page.Problem) error {
	one, err := e.Known.Device(r.Context(), here.user.ID, id, e.now())
	if errors.Is(err, iam.ErrNotFound) {
		return web.NotFound()
	}
	if err != nil {
		return err
	}
	view := page.OneDevice{Common: e.common(w, r, here, problems...), Action: devices, Device: knownAs(one, here), Back: devices}
	living, err := e.Access.UserSessions(r.Context(), here.user.ID)
	if err != nil {
		return err
	}
	for _, session := range living {
		if session.Device == id {
			view.Device.Sessions++
		}
	}
	return e.Pages().Render(w, r, status(problems), view)
}

func (e *Endpoint) changeDevice(w http.ResponseWriter, r *http.Request) error {
	form, here, err := e.deed(r)
	if err != nil {
		return err
	}
	id := form.Value("id")
	// A device that is known keeps its owner from being taken for a stranger. This one, everybody may forget.
	if form.Value("do") != "forget" || id != here.session.Device {
		if sent, err := e.wary(w, r, here, "devices"); sent || err != nil {
			return err
		}
	}
	switch form.Value("do") {
	case "rename":
		name, ok := named(form)
		if !ok {
			return e.showDevice(w, r, here, id, unnamed)
		}
		err = e.Known.RenameDevice(r.Context(), here.user.ID, id, name)
		if errors.Is(err, iam.ErrNotFound) {
			return web.NotFound()
		}
		if err != nil {
			return err
		}
		return e.done(w, r, here, devices, page.NoteDeviceRenamed)
	case "forget":
		event := e.event(r, here, journal.DeviceForgotten{Device: id})
		err = e.Known.ForgetDevice(r.Context(), here.user.ID, id, event)
		if err != nil && !errors.Is(err, iam.ErrNotFound) { // forgotten in another tab
			return err
		}
		if err == nil && id == here.session.Device { // this one: the session has ended with it
			return e.leave(w, r, here)
		}
		return e.done(w, r, here, devices, page.NoteDeviceForgotten)
	}
	return oauth.InvalidRequest("do must be rename or forget")
}
