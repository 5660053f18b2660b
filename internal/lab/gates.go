package lab

// AnotherGate runs a second Gate before the same APIs, and tells where it listens.
func (h *House) AnotherGate() (address string) {
	h.t.Helper()
	first, listen := h.Gateway, h.lab.Listen
	opened := h.listen(1)
	h.lab.Listen = opened.listen
	h.startGate(opened.addresses[0])
	h.Gateway, h.lab.Listen = first, listen
	return opened.addresses[0]
}
