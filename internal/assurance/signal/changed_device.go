package signal

// changedDevice speaks when a known device is suddenly another browser or system: its cookie may have been copied.
type changedDevice struct{}

func (changedDevice) Name() string { return "changed_device" }
func (changedDevice) Points() int  { return 30 }

func (changedDevice) Judge(f *Facts) string {
	if f.Device.Learned == "" || f.Device.Agent == "" || f.Device.Learned == f.Device.Agent {
		return ""
	}
	return "the device was " + f.Device.Learned + " and says now that it is " + f.Device.Agent
}
