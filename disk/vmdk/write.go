package vmdk

type writer struct{}

func (s *sparse) openWriter(*directory) error { return nil }
func (m *image) finish() error                { return nil }
