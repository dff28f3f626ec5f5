package schema

// unavailable says what a field of a body still needs that this version does
// not have; "" for every other field. Its callers go when it goes.
func unavailable(field string) string {
	if field == "stream" {
		return "true needs streaming, which is not available in this version; leave it out"
	}
	return ""
}
