package rand

func String(int) string { return "" }
