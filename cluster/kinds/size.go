package kinds

// sizeUnknown is what an object counts that cannot tell its size.
const sizeUnknown = 1 << 10

// Size is how many bytes an object has as Kubernetes' protobuf: near to what it takes in
// memory where that is much.
func Size(o Object) int64 {
	if s, ok := o.(interface{ Size() int }); ok {
		return int64(s.Size())
	}
	return sizeUnknown
}
