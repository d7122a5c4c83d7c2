package uuid

func NewUUID() string { return "" }
