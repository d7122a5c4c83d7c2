package kinds

// other goes on where object's switch ends.
func (c *check) other(root *loc, o Object) {
	c.meta(metaOf(o), Of(o))
}
