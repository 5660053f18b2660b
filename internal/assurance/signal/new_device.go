package signal

import "strconv"

// newDevice speaks when the person is known on other devices, and not on this one. It needs no learned habits: the list of
// known devices is enough. The first device of a new account is not new.
type newDevice struct{}

func (newDevice) Name() string { return "new_device" }
func (newDevice) Points() int  { return 25 }

func (newDevice) Judge(f *Facts) string {
	switch {
	case f.Device.Known:
		return ""
	case f.untold(UnknownDevices):
		return cantTell("the device is known", "devices")
	case f.untold(UnknownHabits):
		return cantTell("the device is known", "habits")
	case f.Device.Others == 0:
		return ""
	case f.Device.Named:
		return "the device was never used for an authentication at the level that was needed; " + strconv.Itoa(f.Device.Others) + " others were"
	}
	return "the device has no name; " + strconv.Itoa(f.Device.Others) + " others of the person are known"
}
