package rollingupdate

// sizes are the numbers that decide about the next step. All are counts of pods.
type sizes struct {
	old, new     int32 // wanted of the two controllers now
	desired      int32 // wanted of the new one in the end
	newAvailable int32
}

// surge is how many pods there may be above desired, and unavailableMax how many of
// them may be unavailable, during an update. kubectl had no flags for them.
const (
	surge          = 1
	unavailableMax = 0
)

// availableMin is how many pods are to be available at all times.
func (s sizes) availableMin() int32 {
	if s.desired == 0 {
		return 0
	}
	return s.desired - unavailableMax
}

// up is the size to which the new controller may grow now.
func (s sizes) up() int32 {
	if s.old == 0 {
		return s.desired
	}
	return min(s.desired, max(s.new, s.desired+surge-s.old))
}

// down is the size to which the old controller may shrink now.
func (s sizes) down() int32 {
	if s.new == s.desired && s.newAvailable >= s.desired {
		return 0
	}
	spare := s.old + s.newAvailable - s.availableMin()
	return max(0, s.old-max(0, spare))
}
