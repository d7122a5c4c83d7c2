package apiserver

type documents struct{}

func (c *call) openAPIV2() error            { return notFoundPath() }
func (c *call) openAPIV3Index() error       { return notFoundPath() }
func (c *call) openAPIV3(rest string) error { return notFoundPath() }
