package meta

func SetStatusCondition(any) {}
