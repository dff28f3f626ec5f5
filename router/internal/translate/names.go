package translate

import "bytes"

// Names are the names by which a request calls tools.
type Names struct {
	Called  [][]byte  // in the history, as they are written
	Renamed []Renamed // tools that have another name with the server
}

// Renamed is a tool's name in the request, and the one that was sent.
type Renamed struct{ Name, Sent string }

// Remember keeps the name of a tool that was called.
func (n *Names) Remember(name []byte) {
	for _, known := range n.Called {
		if bytes.Equal(known, name) {
			return
		}
	}
	n.Called = append(n.Called, name)
}

// Rename notes that a tool is sent by another name.
func (n *Names) Rename(name, sent string) {
	for _, known := range n.Renamed {
		if known.Sent == sent {
			return
		}
	}
	n.Renamed = append(n.Renamed, Renamed{name, sent})
}
