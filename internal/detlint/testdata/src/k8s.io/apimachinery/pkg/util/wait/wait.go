package wait

func Forever() {}
