package fleet

import (
	"strings"
	"time"

	"pelton/router"
	"pelton/schema"
)

// subjects are the fleet's own, under the installation's prefix. Permissions
// need PREFIX.fleet.> in both directions and the bucket.
type subjects struct{ prefix, bucket string }

func subjectsOf(names schema.Names) subjects {
	prefix := names.Prefix
	if prefix == "" {
		prefix = schema.DefaultPrefix
	}
	return subjects{
		prefix: prefix + ".fleet.",
		bucket: strings.TrimSuffix(names.StateBucket(), "STATE") + "FLEET",
	}
}

// up is what a member says to a coordinator, and down the answer. Each carries
// the other as its reply, so that the server's word that nobody is there arrives
// with the name of who is not.
func (s subjects) up(coordinator, member string) string {
	return s.prefix + "up." + coordinator + "." + member
}
func (s subjects) down(member, coordinator string) string {
	return s.prefix + "down." + member + "." + coordinator
}
func (s subjects) beacon() string   { return s.prefix + "coordinator" }
func (s subjects) cooldown() string { return s.prefix + "cooldown" }

// sender is who sent a message on a subject of up or down.
func sender(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// beacon says who coordinates, after each renewal of the lease.
type beacon struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Epoch    uint64 `json:"epoch"`
	Revision uint64 `json:"revision"`
	Vacant   bool   `json:"vacant,omitempty"` // the lease was given up
}

// permitKey names a permit: the epoch of the coordinator that granted it and its
// number among those granted to the member in that epoch.
type permitKey struct{ epoch, n uint64 }

// up is what a member tells the coordinator.
type up struct {
	Epoch  uint64   `json:"epoch"` // of the coordinator it is for
	Seq    uint64   `json:"seq"`
	Name   string   `json:"name,omitempty"`
	Done   []done   `json:"done,omitempty"`
	State  *state   `json:"state,omitempty"` // in the first message, and every beat
	Asks   []ask    `json:"asks,omitempty"`
	Cancel []uint64 `json:"cancel,omitempty"` // asks taken back
	Bye    bool     `json:"bye,omitempty"`
}

// state is all that a member holds.
type state struct {
	Got       uint64    `json:"got"` // the last grant of this epoch that it has heard of
	Held      []holding `json:"held,omitempty"`
	Waiting   []uint64  `json:"waiting,omitempty"` // asks that were sent a while ago
	Cooldowns []notice  `json:"cooldowns,omitempty"`
}

// holding is the permits of one deployment, each an epoch, a number and the
// tokens it was granted for.
type holding struct {
	Deployment string      `json:"deployment"`
	Limits     limits      `json:"limits"`
	Permits    [][3]uint64 `json:"permits"`
}

type limits struct {
	RPM      int `json:"rpm,omitempty"`
	TPM      int `json:"tpm,omitempty"`
	Parallel int `json:"parallel,omitempty"`
}

func wire(l router.Limits) limits {
	return limits{RPM: max(0, l.RPM), TPM: max(0, l.TPM), Parallel: max(0, l.MaxParallel)}
}

// ask is for one permit.
type ask struct {
	ID         uint64 `json:"id"` // ascending
	Deployment string `json:"deployment"`
	Limits     limits `json:"limits"`
	Tokens     int    `json:"tokens,omitempty"`
	Once       bool   `json:"once,omitempty"` // answer at once
}

// done gives a permit back.
type done struct {
	Epoch  uint64 `json:"epoch"`
	N      uint64 `json:"n"`
	Tokens int    `json:"tokens,omitempty"`
	Sent   bool   `json:"sent,omitempty"`
}

// down is what the coordinator tells a member.
type down struct {
	Epoch     uint64   `json:"epoch"`
	Lease     int64    `json:"lease_us"` // what is left of it, in microseconds
	Ack       uint64   `json:"ack"`      // the last message taken in
	Granted   uint64   `json:"granted"`  // the number of the last permit granted to the member
	Answers   []answer `json:"answers,omitempty"`
	Missing   []uint64 `json:"missing,omitempty"` // of those waiting: send them again
	Room      []string `json:"room,omitempty"`    // deployments for which the member was refused, and is called
	Hello     bool     `json:"hello,omitempty"`   // the member is not known: send the state and all asks
	Cooldowns []notice `json:"cooldowns,omitempty"`
}

// answer to an ask: the number of the permit, or 0 and when to ask again, which
// is 0 where the member is called when there is room.
type answer struct {
	Ask   uint64 `json:"ask"`
	N     uint64 `json:"n,omitempty"`
	After int64  `json:"after_us,omitempty"`
}

func micros(d time.Duration) int64     { return max(0, d.Microseconds()) }
func fromMicros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
