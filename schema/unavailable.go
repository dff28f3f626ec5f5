package schema

// unavailable says what a field of the contract still needs that this version
// does not have; "" for every other field. Its callers go when it goes.
func unavailable(field string) string {
	const missing = ", which is not available in this version; leave it out"
	switch field {
	case "max_cost":
		return "needs a price list" + missing
	case "tags":
		return "needs routing by tags" + missing
	case "stream":
		return "true needs streaming" + missing
	}
	return ""
}
