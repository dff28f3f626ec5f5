//go:build !unix

package http1

// canPeek: without a look at a kept connection, one that the server has closed
// would cost the call that is made on it. net/http makes all calls here.
const canPeek = false

func nothingToRead(uintptr) bool { return false }
