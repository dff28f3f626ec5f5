package fleet

// share is what one member has of one deployment.
type share struct {
	held int // permits now
	peak int // the most since the record was last written
	want int // the most that it waits to hold

	// ceiling is the most it may hold of a deployment with MaxParallel by what
	// stands in the lease's record, so that a next coordinator knows it too.
	ceiling int
}

// record is the lease as it stands in the bucket.
type record struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Epoch    uint64         `json:"epoch"`
	Released bool           `json:"released,omitempty"` // given up: free to take
	Members  []memberRecord `json:"members,omitempty"`
}

// memberRecord is the most that a member may hold, by deployment.
type memberRecord struct {
	ID   string         `json:"id"`
	Name string         `json:"name"`
	Most map[string]int `json:"most"`
}

// snapshot returns the members for the next record. Ceilings fall with it at
// once, and rise when it is stored: see raise.
func (c *coordinator) snapshot() []memberRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []memberRecord
	for _, m := range c.members {
		most := map[string]int{}
		for name, s := range m.shares {
			n := s.ceiling
			if !m.ghost {
				n = roundUp(max(s.held, s.peak, s.want), c.accounts[name].limits.Parallel)
				s.peak, s.want = s.held, 0
				s.ceiling = min(s.ceiling, n)
			}
			if n > 0 {
				most[name] = n
			} else if s.held == 0 {
				delete(m.shares, name)
			}
		}
		if len(most) > 0 {
			list = append(list, memberRecord{ID: m.id, Name: m.name, Most: most})
		}
	}
	return list
}

// roundUp leaves room above n, an eighth of what there is at most, so that the
// record is not written for every permit more. A deployment without MaxParallel
// has none, and needs none.
func roundUp(n, parallel int) int {
	if n <= 0 || parallel <= 0 {
		return 0
	}
	step := max(1, parallel/8)
	return max(n, min(parallel, (n+step-1)/step*step))
}

// raise lifts the ceilings to what has been stored, and lets those in who waited
// for it.
func (c *coordinator) raise(stored []memberRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range stored {
		m := c.members[r.ID]
		if m == nil || m.ghost {
			continue
		}
		for name, n := range r.Most {
			m.share(name).ceiling = n
		}
	}
	for _, a := range c.accounts {
		c.pump(a)
	}
	c.flush()
}

// covered reports whether the record allows the member one permit more. Where
// it does not, the record is written, and raise goes on from there.
func (c *coordinator) covered(m *member, a *account) bool {
	if a.limits.Parallel <= 0 {
		return true
	}
	s := m.share(a.name)
	if s.held < s.ceiling {
		return true
	}
	waiting := 0
	for _, w := range a.queue {
		if w.member == m && !w.gone && !w.ticket {
			waiting++
		}
		if s.held+waiting >= a.limits.Parallel {
			break
		}
	}
	s.want = max(s.want, s.held+max(1, waiting))
	select {
	case c.dirty <- struct{}{}:
	default:
	}
	return false
}
