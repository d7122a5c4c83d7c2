package resource

type Quantity struct{}

func (q *Quantity) AsApproximateFloat64() float64 { return 0 }

func (q *Quantity) Value() int64 { return 0 }
