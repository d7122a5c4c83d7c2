package apiserver

import "seatrial.dev/seatrial/cluster/kinds"

func (c *call) adviseOn(o kinds.Object) {}
