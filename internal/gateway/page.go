package gateway

import "strconv"

// list is a page of a list.
type list[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	FirstID string `json:"first_id"`
	LastID  string `json:"last_id"`
	HasMore bool   `json:"has_more"`
}

func (l *list[T]) add(item T, id string) {
	if len(l.Data) == 0 {
		l.FirstID = id
	}
	l.LastID = id
	l.Data = append(l.Data, item)
}

// page is which part of a list is asked for.
type page struct {
	after     string
	limit     int
	ascending bool
}

func readPage(c *call, limit, most int) (page, error) {
	query := c.r.URL.Query()
	p := page{after: query.Get("after"), limit: limit}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return p, invalid("limit", "invalid_value", "limit must be a number from 1 to %d, not '%s'.", most, clip(text))
		}
		p.limit = n
	}
	switch order := query.Get("order"); order {
	case "", "desc":
	case "asc":
		p.ascending = true
	default:
		return p, invalid("order", "invalid_value", "order must be 'asc' or 'desc', not '%s'.", clip(order))
	}
	return p, nil
}
