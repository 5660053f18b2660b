package login_test

func (h *house) more() {}
